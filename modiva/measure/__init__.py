"""Extraction scores, exposure and intervals: what came out against what went in."""

from modiva.measure import columns, exposure, intervals, matches, membership
from modiva.measure.intervals import Interval
from modiva.measure.rows import Claims, score_rows
from modiva.measure.summary import Group, as_frame, summarise

__all__ = [
    "Claims",
    "Group",
    "Interval",
    "as_frame",
    "columns",
    "exposure",
    "intervals",
    "matches",
    "membership",
    "score_rows",
    "summarise",
]
