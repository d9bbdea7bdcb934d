"""Extraction scores, exposure and intervals: what came out against what went in."""

from modiva.measure.exposure import (
    exposure,
    exposure_by_skew_normal,
    exposure_from_sample,
    exposure_in_space,
    rank_in_sample,
    rank_in_space,
)
from modiva.measure.intervals import (
    Interval,
    bounded_interval,
    clopper_pearson,
    cluster_bootstrap,
    student_interval,
    wilson,
)
from modiva.measure.matches import exact_match, hamming, multiset_match, position_hits, top_k
from modiva.measure.rows import SampleScores, SpaceScores, score_rows
from modiva.measure.summary import GROUP_COLUMNS, as_frame, models, summarise

__all__ = [
    "GROUP_COLUMNS",
    "Interval",
    "SampleScores",
    "SpaceScores",
    "as_frame",
    "bounded_interval",
    "clopper_pearson",
    "cluster_bootstrap",
    "exact_match",
    "exposure",
    "exposure_by_skew_normal",
    "exposure_from_sample",
    "exposure_in_space",
    "hamming",
    "models",
    "multiset_match",
    "position_hits",
    "rank_in_sample",
    "rank_in_space",
    "score_rows",
    "student_interval",
    "summarise",
    "top_k",
    "wilson",
]
