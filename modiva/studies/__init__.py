"""Studies: grids of cells, planned as steps, run by an engine, kept in a store.

Importing this package loads neither PyTorch nor pandas; `modiva.studies.planning` does.
"""

from modiva.studies.cost import estimate_seconds
from modiva.studies.files import load_study
from modiva.studies.run import EngineSettings, StudyResult, run_study
from modiva.studies.spec import AuditSpec, Cell, Study
from modiva.studies.store import Store

__all__ = [
    "AuditSpec",
    "Cell",
    "EngineSettings",
    "Store",
    "Study",
    "StudyResult",
    "estimate_seconds",
    "load_study",
    "run_study",
]
