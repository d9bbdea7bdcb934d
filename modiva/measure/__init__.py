"""Extraction scores, exposure and intervals: what came out against what went in."""

from modiva.measure.audits import (
    gaussian_epsilon,
    many_run_audit,
    one_run_audit,
)
from modiva.measure.columns import COLUMNS, CONDITIONS, Column, ModelColumns, ModelRow, Row
from modiva.measure.exposure import exposure_in_space, rank_in_space
from modiva.measure.intervals import Interval, bounded_interval
from modiva.measure.matches import hamming, multiset_match
from modiva.measure.rows import Claims, score_rows
from modiva.measure.summary import Group, as_frame, models, summarise

__all__ = [
    "COLUMNS",
    "CONDITIONS",
    "Claims",
    "Column",
    "Group",
    "Interval",
    "ModelColumns",
    "ModelRow",
    "Row",
    "as_frame",
    "bounded_interval",
    "exposure_in_space",
    "gaussian_epsilon",
    "hamming",
    "many_run_audit",
    "models",
    "multiset_match",
    "one_run_audit",
    "rank_in_space",
    "score_rows",
    "summarise",
]
