"""The functions of `modiva` for programs and notebooks; importing this loads nothing they use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modiva.api.attacking import attack
    from modiva.api.auditing import audit
    from modiva.api.callback import CanaryCallback
    from modiva.api.exposing import expose
    from modiva.api.planting import plant
    from modiva.api.training import train

__all__ = ["CanaryCallback", "attack", "audit", "expose", "plant", "train"]
_MODULES = {
    "CanaryCallback": "callback",
    "attack": "attacking",
    "audit": "auditing",
    "expose": "exposing",
    "plant": "planting",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Import a function when it is first used."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
