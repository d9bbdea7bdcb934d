"""The rows of `groups.csv`: accuracy and false alarms of one model on every group."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modiva.fairness.groupings import Grouped as Grouped
from modiva.fairness.groupings import grouped as grouped
from modiva.measure import columns


def group_rows(
    model: columns.ModelRow, grouping: str, sentences: Sequence[Grouped], predicted: Sequence[str]
) -> list[columns.GroupRow]:
    """Measure one model on the groups of one grouping, for all intents and for each.

    Args:
        model: the row of the model.
        grouping: its name.
        sentences: with their true intents and groups.
        predicted: the intent that the model names for each sentence.
    """
    shared = shared_columns(model, columns.GroupRow)
    true = np.array([one.intent for one in sentences])
    named = np.asarray(predicted)
    groups = np.array([one.group for one in sentences])
    return [
        columns.GroupRow(**shared, grouping=grouping, **measured)
        for group in sorted(set(groups.tolist()))
        for measured in _measured(group, true, named, groups)
    ]


def shared_columns(model: columns.ModelRow, kind: type) -> dict[str, Any]:
    """Return the columns that a kind of row shares with the row of a model."""
    own = {field.name for field in fields(kind)}
    return {name: value for name, value in vars(model).items() if name in own}


def _measured(
    group: str, true: NDArray[np.str_], named: NDArray[np.str_], groups: NDArray[np.str_]
) -> Iterator[dict[str, Any]]:
    inside = groups == group
    own = true[inside]
    counts = np.unique(own, return_counts=True)[1]
    yield {
        "group": group,
        "intent": "",
        "tested": int(inside.sum()),
        "accuracy": _share(named[inside] == own),
        "floor": float(counts.max() / counts.sum()),
        "false_alarms": _share(named[inside] != own),
        "false_alarm_gap": _gap(named != true, inside),
    }
    for intent in sorted({*true.tolist(), *named.tolist()}):
        other = true != intent
        alarms = named == intent
        here = own == intent
        yield {
            "group": group,
            "intent": intent,
            "tested": int(here.sum()),
            "accuracy": _share(named[inside][here] == intent),
            "floor": None,
            "false_alarms": _share(alarms[inside & other]),
            "false_alarm_gap": _gap(alarms[other], inside[other]),
        }


def _share(hits: ArrayLike) -> float | None:
    """Return the share of true values; None of none."""
    values = np.asarray(hits, dtype=np.float64)
    return float(values.mean()) if len(values) else None


def _gap(alarms: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float | None:
    """Return the rate inside a group minus that outside; None where a side is empty."""
    within, without = _share(alarms[inside]), _share(alarms[~inside])
    return None if within is None or without is None else within - without
