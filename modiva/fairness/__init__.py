"""What a protection costs, and whom: accuracy by group of test sentences, paired by model seed."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modiva.fairness.groupings import grouped
from modiva.fairness.groups import group_rows

if TYPE_CHECKING:
    from modiva.fairness import paired

__all__ = ["group_rows", "grouped", "paired"]


def __getattr__(name: str) -> Any:
    """Import what loads pandas when it is first used."""
    if name == "paired":
        return import_module("modiva.fairness.paired")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
