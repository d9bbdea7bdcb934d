"""Grids of cells: spec -> cells -> engine -> store."""

from modiva.studies.cost import estimate_seconds
from modiva.studies.files import load_study
from modiva.studies.run import StudyResult, run_study, validate
from modiva.studies.spec import AuditSpec, Cell, with_noise
from modiva.studies.store import Store

__all__ = [
    "AuditSpec",
    "Cell",
    "Store",
    "StudyResult",
    "estimate_seconds",
    "load_study",
    "run_study",
    "validate",
    "with_noise",
]
