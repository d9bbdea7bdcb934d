"""Natural secrets: what stands in training data anyway, and how far a checkpoint gives it away.

Importing this package loads no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modiva.natural.exposed import Exposed
    from modiva.natural.exposing import expose
    from modiva.natural.find import Finder
    from modiva.natural.membership import infer_members

__all__ = ["Exposed", "Finder", "expose", "infer_members"]
_MODULES = {
    "Exposed": "exposed", "Finder": "find", "expose": "exposing", "infer_members": "membership",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the name when it is first used."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
