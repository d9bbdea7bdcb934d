"""Extraction scores, exposure and intervals: what came out against what went in."""

from modiva.measure.columns import (
    COLUMNS,
    CONDITIONS,
    Column,
    ModelColumns,
    ModelRow,
    Row,
    columns_of,
)
from modiva.measure.exposure import exposure, exposure_in_space, rank_in_space
from modiva.measure.intervals import (
    Interval,
    bounded_interval,
    clopper_pearson,
    cluster_bootstrap,
    student_interval,
    wilson,
)
from modiva.measure.matches import exact_match, hamming, multiset_match, position_hits, top_k
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
    "clopper_pearson",
    "cluster_bootstrap",
    "columns_of",
    "exact_match",
    "exposure",
    "exposure_in_space",
    "hamming",
    "models",
    "multiset_match",
    "position_hits",
    "rank_in_space",
    "score_rows",
    "student_interval",
    "summarise",
    "top_k",
    "wilson",
]
