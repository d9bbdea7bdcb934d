"""What people read: figures, a self-contained page, and the files beside it.

Importing this package loads neither pandas nor matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modiva.report.publish import publish, run_and_publish

if TYPE_CHECKING:
    from modiva.report.exports import export
    from modiva.report.exposed import write_exposed
    from modiva.report.result import write_page

__all__ = ["export", "publish", "run_and_publish", "write_exposed", "write_page"]
_MODULES = {"export": "exports", "write_exposed": "exposed", "write_page": "result"}


def __getattr__(name: str) -> Any:
    """Import what draws and writes when it is first used."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
