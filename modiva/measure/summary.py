"""Rows in, groups out: every rate with its interval, its n and its number of models."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modiva.measure.audits import ALPHA, one_of_each, rank_audit, violation
from modiva.measure.columns import COLUMNS, CONDITIONS, PRIVACY, RATES, ModelRow, names
from modiva.measure.intervals import Interval, bounded_interval, models, student_interval

_MODEL = names("model", of=ModelRow)
_CLAIMS = {name for name in PRIVACY if name not in names("privacy", of=ModelRow)}
_OF_MODELS = {name for name in _MODEL if name not in names("model")}
_AUDIT = ("epsilon_lower", "mu_lower", "audit_k", "audit_p")
_OF_ATTACKS = {*RATES, *names("measure"), *_CLAIMS, *_AUDIT, "chance"}
_MEASURED = (
    *(*RATES, *PRIVACY, *_MODEL, *names("measure")),
    *("length", "space_size", "planted", "rank"),
)
# Of audits of training that claims none: the default of what does.
DELTA = 1e-5

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Group:
    """Rows that have the same condition.

    Args:
        key: what tells the group apart: the columns that it was made by, also `group[NAME]`.
        n: rows.
        n_models: independently trained models that they are of.
        text_epsilon, epsilon_claimed, epsilon, group_epsilon, secret_epsilon, secret_group_epsilon,
            delta, exact_bound, top10_bound, exposure_bound: the largest, or None where a row has no
            bound.
        epsilon_lower, mu_lower: lower bounds of 95 % on the privacy loss of all repetitions, by the
            ranks of one secret of each model, drawn at random; None where secrets have no rank.
        audit_k: the largest rank that counted as a hit in `epsilon_lower`.
        audit_p: p-value of the ranks under `exact_bound` and `top10_bound`; of secrets never
            planted under chance, which is the null of the audit.
        majority_accuracy: of always naming the most common intent, the mean.
        chance: probability of an exact match by guessing.

    The others are measures with their intervals; None is not measured.
    """

    key: Mapping[str, Any]
    n: int
    n_models: int
    text_epsilon: float | None
    epsilon_claimed: float | None
    epsilon: float | None
    group_epsilon: float | None
    secret_epsilon: float | None
    secret_group_epsilon: float | None
    delta: float | None
    exact_bound: float | None
    top10_bound: float | None
    exposure_bound: float | None
    epsilon_lower: float | None
    mu_lower: float | None
    audit_k: int | None
    audit_p: float | None
    exact: Interval | None
    top10: Interval | None
    multiset: Interval | None
    position_accuracy: Interval | None
    hamming: Interval | None
    exposure: Interval | None
    copies_intact: Interval | None
    decoded: Interval | None
    words_kept: Interval | None
    test_accuracy: Interval | None
    valid_accuracy: Interval | None
    train_accuracy: Interval | None
    majority_accuracy: float | None
    chance: float | None

    def __getitem__(self, name: str) -> Any:
        return self.key[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a column that the group was made by, or `default` where it is none of them."""
        return self.key.get(name, default)

    @property
    def violated(self) -> bool:
        """Whether ranks show more than the training claims to allow, at 95 %."""
        lower, claimed = self.epsilon_lower, self.group_epsilon
        if lower is not None and claimed is not None and lower > claimed:
            return True
        return self.audit_p is not None and self.audit_p < ALPHA

    def as_dict(self) -> dict[str, Any]:
        """Return the group as plain JSON values, without the measures of another kind of row."""
        foreign = _OF_MODELS if self.exact else _OF_ATTACKS
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in foreign}
        del values["key"]
        return {name: _plain(value) for name, value in {**self.key, **values}.items()}


def as_frame(rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame in which what is a number is one, whether made now or read back."""
    frame = pd.DataFrame(rows).reset_index(drop=True)
    for name in frame.columns:
        if name not in COLUMNS or (kind := COLUMNS[name].type) is str:
            continue
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            frame[name] = pd.to_numeric(frame[name].astype(object))
        # An integer that is missing somewhere, or beyond 64 bits, is a float everywhere.
        whole = frame[name].notna().all() and (frame[name].abs() < 2.0**63).all()
        frame[name] = frame[name].astype(kind if whole else float)
    # A target trained without noise may leave the column empty: that is noise of zero.
    if "noise_multiplier" in frame:
        frame["noise_multiplier"] = frame["noise_multiplier"].fillna(0.0)
        if "target_epsilon" not in frame:  # rows of an earlier version
            frame["target_epsilon"] = math.nan
    return frame


def summarise(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    by: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> list[Group]:
    """Return the groups of rows, sorted; where several patterns meet, also one of pattern "all".

    Controls (planted = 0) are groups like any other.

    Args:
        rows: one per canary and control (`Row`) or one per model (`ModelRow`), or read back from
            their file.
        by: the columns that make a group; None takes every condition that the rows have.
        confidence: coverage of the intervals.
    """
    frame = as_frame(rows)
    if frame.empty:
        return []
    by = [name for name in CONDITIONS if name in frame] if by is None else list(by)
    columns = {name: frame[name].to_numpy(float) for name in _MEASURED if name in frame}
    columns["model"] = models(frame)
    groups = list(_groups(frame, columns, by, confidence))
    if "pattern" in by and frame["pattern"].nunique() > 1:
        rest = frame.groupby([name for name in by if name != "pattern"], dropna=False)
        several = (rest["pattern"].transform("nunique") > 1).to_numpy()
        if several.any():  # patterns of different length are groups of their own
            pooled = frame[several].assign(pattern="all")
            chosen = {name: values[several] for name, values in columns.items()}
            groups += _groups(pooled, chosen, by, confidence)
    return groups


def _groups(
    frame: pd.DataFrame, columns: Arrays, by: list[str], confidence: float
) -> Iterator[Group]:
    # Arrays and one sort instead of one frame per group: there may be very many groups.
    keys = {name: frame[name].to_numpy() for name in by}
    number = frame.groupby(by, dropna=False, observed=True, sort=True).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        group = {name: values[places] for name, values in columns.items()}
        yield Group(
            key={name: _plain(values[places[0]]) for name, values in keys.items()},
            n=len(places),
            n_models=len(np.unique(group["model"])),
            **_measures(group, confidence),
        )


def _measures(group: Arrays, confidence: float) -> dict[str, Any]:
    """Return all that is said of one group."""
    measures: dict[str, Any] = {name: _claim(group, name) for name in PRIVACY}
    for name in _MODEL:
        values, clusters = _held(group, name)
        measures[name] = None
        if len(values):
            measures[name] = student_interval(values, clusters, confidence=confidence)
    floors, _ = _held(group, "majority_accuracy")
    measures["majority_accuracy"] = float(floors.mean()) if len(floors) else None
    sizes = group.get("space_size", np.array([math.nan]))
    measures["chance"] = _plain(float((1 / sizes).mean()))
    return measures | _audit(group) | _bounded(group, sizes, confidence)


def _audit(group: Arrays) -> dict[str, Any]:
    """Return what the ranks of one secret of each model show of the claims of one group."""
    found: dict[str, Any] = dict.fromkeys(_AUDIT)
    ranks, clusters = _held(group, "rank")
    sizes, planted = np.unique(group.get("space_size", [])), np.unique(group.get("planted", []))
    if not len(ranks) or len(sizes) != 1 or not sizes[0] > 1 or len(planted) != 1:
        return found
    ranks, size = ranks[one_of_each(clusters)], float(sizes[0])
    lower = rank_audit(ranks, int(size), _claim(group, "delta") or DELTA)
    found |= {"epsilon_lower": lower.epsilon, "mu_lower": lower.mu, "audit_k": lower.k}
    first, ten = _claim(group, "exact_bound"), _claim(group, "top10_bound")
    if not planted[0]:
        first, ten = 1 / size, min(10 / size, 1.0)
    if first is not None and ten is not None:
        found["audit_p"] = violation(ranks, {1: first, 10: ten})
    return found


def _bounded(group: Arrays, sizes: NDArray[Any], confidence: float) -> dict[str, Interval | None]:
    """Return every measure of one group that has a least and a greatest value."""
    # Without space sizes the largest exposure seen is the only bound there is.
    bits = math.log2(sizes.max()) if np.isfinite(sizes).all() else _top(group, "exposure")
    ranges = dict.fromkeys(RATES, 1.0)
    ranges |= {"hamming": _top(group, "length"), "exposure": bits}
    measures: dict[str, Interval | None] = {}
    for name, high in ranges.items():
        values, clusters = _held(group, name)
        measures[name] = None
        if len(values) and high > 0:
            measures[name] = bounded_interval(values, clusters, high=high, confidence=confidence)
    return measures


def _held(group: Arrays, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the values of `name` that are there, and the models that they are of."""
    values = group.get(name, np.empty(0))
    there = ~np.isnan(values)
    return values[there], group["model"][: len(values)][there]


def _top(group: Arrays, name: str) -> float:
    values, _ = _held(group, name)
    return float(values.max(initial=0.0))


def _claim(group: Arrays, name: str) -> float | None:
    """Return the largest value of a privacy column: what may be claimed of every row, or None."""
    values = group.get(name, np.empty(0))
    return float(values.max()) if len(values) and np.isfinite(values).all() else None


def _plain(value: Any) -> Any:
    """Return a value that JSON has; what is not a finite number is None."""
    if isinstance(value, Interval):
        return {name: _plain(own) for name, own in vars(value).items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
