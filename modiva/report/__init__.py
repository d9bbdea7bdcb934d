"""What people read: figures, a self-contained page, and the files beside it.

Importing this package loads neither pandas nor matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modiva.report.publish import publish

if TYPE_CHECKING:
    from modiva.report.exports import export
    from modiva.report.exposed import write_exposed
    from modiva.report.page import write_report
    from modiva.report.plots import figures
    from modiva.report.tables import read_rows

__all__ = ["export", "figures", "publish", "read_rows", "write_exposed", "write_report"]
_MODULES = {
    "export": "exports", "figures": "plots", "read_rows": "tables", "write_report": "page",
    "write_exposed": "exposed",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what draws and writes when it is first used."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
