"""Rows in, groups out: every rate with its interval, its n and its number of models."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
_OTHERS = ("hamming", "exposure", "length", "space_size", "test_accuracy", "majority_accuracy")

Columns = dict[str, NDArray[Any]]


def as_frame(rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame in which what is a number is one, whether made now or read back."""
    frame = pd.DataFrame(rows).reset_index(drop=True)
    numbers = {*RATES, *PRIVACY, "noise_multiplier", "repetitions", "length", "planted", "hamming"}
    numbers |= {"rank", "exposure", "space_size", "evaluations", "seconds"}
    numbers |= {"test_accuracy", "majority_accuracy"}
    for name in numbers & set(frame.columns):
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            frame[name] = pd.to_numeric(frame[name].astype(object))
        frame[name] = frame[name].astype(float)
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
    columns = {
        name: frame[name].to_numpy(float) for name in (*RATES, *PRIVACY, *_OTHERS) if name in frame
    }
    columns["model"] = models(frame)
    groups = list(_groups(frame, columns, list(by), confidence))
    if "pattern" in by and frame["pattern"].nunique() > 1:
        rest = frame.groupby([name for name in by if name != "pattern"], dropna=False)
        several = (rest["pattern"].transform("nunique") > 1).to_numpy()
        if several.any():  # patterns of different length are groups of their own
            pooled = frame[several].assign(pattern="all")
            chosen = {name: values[several] for name, values in columns.items()}
            groups += _groups(pooled, chosen, list(by), confidence)
    return groups


def _groups(
    frame: pd.DataFrame, columns: Columns, by: list[str], confidence: float
) -> Iterator[dict[str, Any]]:
    # Arrays and one sort instead of a frame a group: there may be very many groups.
    keys = {name: frame[name].to_numpy() for name in by}
    number = frame.groupby(by, dropna=False, observed=True, sort=True).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        group = {name: values[places] for name, values in columns.items()}
        yield {
            **{name: _plain(values[places[0]]) for name, values in keys.items()},
            "n": len(places),
            "n_models": len(np.unique(group["model"])),
            **{name: _claim(group, name) for name in PRIVACY},
            **_measures(group, confidence),
        }


def _measures(group: Columns, confidence: float) -> dict[str, Any]:
    """Return every measure of one group with its interval."""
    sizes = group.get("space_size", np.array([math.nan]))
    # Without space sizes the largest exposure seen is the only bound there is.
    bits = math.log2(sizes.max()) if np.isfinite(sizes).all() else _top(group, "exposure")
    ranges = dict.fromkeys(RATES, 1.0)
    ranges |= {"hamming": _top(group, "length"), "exposure": bits}
    measures: dict[str, Any] = {}
    for name, high in ranges.items():
        values, clusters = _held(group, name)
        measures[name] = None
        if len(values) and high > 0:
            interval = bounded_interval(values, clusters, high=high, confidence=confidence)
            measures[name] = _as_dict(interval)
    values, clusters = _held(group, "test_accuracy")
    measures["test_accuracy"] = None
    if len(values):
        interval = student_interval(values, clusters, confidence=confidence)
        measures["test_accuracy"] = _as_dict(interval)
    floors, _ = _held(group, "majority_accuracy")
    measures["majority_accuracy"] = float(floors.mean()) if len(floors) else None
    measures["chance"] = _plain(float((1 / sizes).mean()))
    return measures


def _held(group: Columns, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the values of `name` that are there, and the models that they are of."""
    values = group.get(name, np.empty(0))
    there = ~np.isnan(values)
    return values[there], group["model"][: len(values)][there]


def _top(group: Columns, name: str) -> float:
    values, _ = _held(group, name)
    return float(values.max(initial=0.0))


def _as_dict(interval: Interval) -> dict[str, Any]:
    return {name: _plain(value) for name, value in vars(interval).items()}


def _claim(group: Columns, name: str) -> float | None:
    """Return the largest value of a privacy column: what may be claimed of every row, or None."""
    values = group.get(name, np.empty(0))
    return float(values.max()) if len(values) and np.isfinite(values).all() else None


def _plain(value: Any) -> Any:
    """Return a value that JSON knows; what is not a finite number is None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
