"""Rows in, groups out: every rate with its interval, its n and its number of models."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from modiva.measure.intervals import Interval, bounded_interval, student_interval

GROUP_COLUMNS = (
    "corpus",
    "target",
    "defense",
    "noise_multiplier",
    "pattern",
    "length",
    "repetitions",
    "attack",
    "planted",
)
RATES = ("exact", "top10", "multiset", "position_accuracy")
PRIVACY = ("epsilon", "group_epsilon", "delta")


def as_frame(rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame in which what is a number is one, whether made now or read back."""
    frame = pd.DataFrame(rows).reset_index(drop=True)
    numbers = {*RATES, *PRIVACY, "noise_multiplier", "repetitions", "length", "planted", "hamming"}
    numbers |= {"rank", "exposure", "space_size", "evaluations", "seconds"}
    numbers |= {"test_accuracy", "majority_accuracy"}
    for name in numbers & set(frame.columns):
        frame[name] = pd.to_numeric(frame[name].astype(object)).astype(float)
    for name in ("repetitions", "length", "planted"):
        if name in frame and frame[name].notna().all():
            frame[name] = frame[name].astype(int)
    # A target trained without noise may leave the column empty: that is noise of zero.
    if "noise_multiplier" in frame:
        frame["noise_multiplier"] = frame["noise_multiplier"].fillna(0.0)
    return frame


def models(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[Any]]:
    """Return (n,) integers that tell which trained model each row is of."""
    columns = [name for name in ("cell", "model_seed") if name in frame]
    return frame.groupby(columns, dropna=False, sort=False).ngroup().to_numpy()


def summarise(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    by: Sequence[str] = GROUP_COLUMNS,
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """Return one dict a group, sorted; where several patterns meet, also one of pattern "all".

    Controls (planted = 0) are groups like any other. A group holds the columns of `by`; `n` rows of
    `n_models` models; exact, top10, multiset, position_accuracy, hamming, exposure, test_accuracy,
    each as {mean, lower, upper, n, n_models} or None; `chance` of an exact match by guessing;
    `majority_accuracy`; epsilon, group_epsilon, delta (None without differential privacy).

    Args:
        rows: as `score_rows` makes them, or read back from their file.
        by: the columns that make a group.
        confidence: coverage of the intervals.
    """
    frame = as_frame(rows)
    if frame.empty:
        return []
    frame["_model"] = models(frame)
    groups = list(_groups(frame, list(by), confidence))
    if "pattern" in by and frame["pattern"].nunique() > 1:
        pooled = frame.groupby([name for name in by if name != "pattern"], dropna=False)
        several = frame[pooled["pattern"].transform("nunique") > 1]
        groups += _groups(several.assign(pattern="all"), list(by), confidence)
    return groups


def _groups(frame: pd.DataFrame, by: list[str], confidence: float) -> Iterator[dict[str, Any]]:
    for key, group in frame.groupby(by, dropna=False, sort=True):
        yield {
            **{name: _plain(value) for name, value in zip(by, key, strict=True)},
            "n": len(group),
            "n_models": group["_model"].nunique(),
            **{name: _claim(group, name) for name in PRIVACY},
            **_measures(group, confidence),
        }


def _measures(group: pd.DataFrame, confidence: float) -> dict[str, Any]:
    """Return every measure of one group with its interval."""
    sizes = group["space_size"] if "space_size" in group else pd.Series([math.nan])
    bits = math.log2(sizes.max()) if sizes.notna().any() else math.nan
    # Without space sizes the largest exposure seen is the only bound there is.
    if math.isnan(bits) and "exposure" in group:
        bits = float(group["exposure"].max())
    ranges = dict.fromkeys(RATES, 1.0)
    ranges |= {"hamming": float(group["length"].max()), "exposure": bits}
    measures: dict[str, Any] = {}
    for name, high in ranges.items():
        held = _held(group, name)
        measures[name] = None
        if len(held) and high > 0:
            interval = bounded_interval(
                held[name], held["_model"], high=high, confidence=confidence
            )
            measures[name] = _as_dict(interval)
    measures["test_accuracy"] = None
    if len(held := _held(group, "test_accuracy")):
        interval = student_interval(held["test_accuracy"], held["_model"], confidence=confidence)
        measures["test_accuracy"] = _as_dict(interval)
    measures["majority_accuracy"] = _mean(group, "majority_accuracy")
    measures["chance"] = _plain(float((1 / sizes).mean()))
    return measures


def _held(group: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows that hold a value of `name`."""
    return group[group[name].notna()] if name in group else group[:0]


def _mean(group: pd.DataFrame, name: str) -> float | None:
    held = _held(group, name)
    return float(held[name].mean()) if len(held) else None


def _as_dict(interval: Interval) -> dict[str, Any]:
    return {name: _plain(value) for name, value in asdict(interval).items()}


def _claim(group: pd.DataFrame, name: str) -> float | None:
    """Return the largest value of a privacy column: what may be claimed of every row, or None."""
    if name not in group or not np.isfinite(group[name]).all():
        return None
    return float(group[name].max())


def _plain(value: Any) -> Any:
    """Return a value that JSON knows; what is not a finite number is None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
