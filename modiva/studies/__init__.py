"""Grids of cells: spec -> cells -> engine -> store."""

from modiva.studies.cost import estimate_seconds
from modiva.studies.run import StudyResult, run_study, validate
from modiva.studies.spec import AuditSpec, Cell

__all__ = ["AuditSpec", "Cell", "StudyResult", "estimate_seconds", "run_study", "validate"]
