"""Extraction scores, exposure and intervals: what came out against what went in."""

from modiva.measure import exposure, matches, membership
from modiva.measure.columns import (
    COLUMNS,
    CONDITIONS,
    Column,
    GroupRow,
    ModelColumns,
    ModelRow,
    Row,
)
from modiva.measure.intervals import Interval, bounded_interval, student_interval
from modiva.measure.rows import Claims, score_rows
from modiva.measure.summary import Group, as_frame, models, summarise

__all__ = [
    "COLUMNS",
    "CONDITIONS",
    "Claims",
    "Column",
    "Group",
    "GroupRow",
    "Interval",
    "ModelColumns",
    "ModelRow",
    "Row",
    "as_frame",
    "bounded_interval",
    "exposure",
    "matches",
    "membership",
    "models",
    "score_rows",
    "student_interval",
    "summarise",
]
