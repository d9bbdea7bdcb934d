"""What a protection costs, and whom: accuracy by group of test sentences, paired by model seed."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modiva.fairness import groups, names, paired

__all__ = ["groups", "names", "paired"]


def __getattr__(name: str) -> Any:
    """Import what loads pandas or trains when it is first used."""
    if name in __all__:
        return import_module(f"modiva.fairness.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
