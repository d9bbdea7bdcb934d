"""Studies: grids of cells, planned as steps, run by an engine, kept in a store.

Importing this package loads neither PyTorch nor pandas; `modiva.studies.planning` does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modiva.studies import settings
from modiva.studies.checks import check_study
from modiva.studies.code import code_version
from modiva.studies.files import load_study
from modiva.studies.garbage import collect
from modiva.studies.results import Results, free_folder, open_results
from modiva.studies.run import EngineSettings, StudyResult, run_study
from modiva.studies.spec import AuditSpec, Study
from modiva.studies.store import Store

if TYPE_CHECKING:
    from modiva.studies.planning import check_planting, estimate_study
    from modiva.studies.steps.fit import train_ranker

__all__ = [
    "AuditSpec",
    "EngineSettings",
    "Results",
    "Store",
    "Study",
    "StudyResult",
    "check_planting",
    "check_study",
    "code_version",
    "collect",
    "estimate_study",
    "free_folder",
    "load_study",
    "open_results",
    "run_study",
    "settings",
    "train_ranker",
]


def __getattr__(name: str) -> Any:
    """Import what loads PyTorch when it is first used."""
    if name in __all__:
        module = "steps.fit" if name == "train_ranker" else "planning"
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
