"""What protections cost groups of test sentences, in words: one sentence and a small table."""

import re
from typing import Any

import numpy as np
import pandas as pd

from modiva.fairness import paired
from modiva.measure import Interval
from modiva.report.words import NO_DEFENSE, count, percent, percent_range, records, target_name

HEADINGS = ("Target", "Defense", "Grouping", "Group", "Tested", "Accuracy", "Floor", "Cost, points")
FREQUENCY = "frequency"


def by_condition(groups: pd.DataFrame) -> pd.DataFrame:
    """Return costs of groups (with their `condition`), the groups of a grouping in order.

    Frequency and length have their groups from the largest to the smallest, so that common
    intents come before rare ones.
    """
    found = paired.costs(groups, ("condition",))
    order = found["group"].map(lambda name: -_first_number(name))
    return found.assign(order=order).sort_values("order", kind="stable").drop(columns="order")


def by_label(rows: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Return the exposure of canaries by the frequency of their label, with `condition`."""
    if not {"exposure", "attack"} <= set(rows) or "frequency" not in set(groups["grouping"]):
        return pd.DataFrame()
    return paired.exposures(rows, groups, ("condition",))


def sentence(rows: pd.DataFrame, groups: pd.DataFrame) -> str:
    """Return what the costliest protection takes of common and of rare intents, or ""."""
    found = by_condition(groups)
    found = found[(found["grouping"] == FREQUENCY) & (found["condition"] != NO_DEFENSE)]
    found = found[found["cost"].notna()]
    if found.empty:
        return ""
    keys = ["corpus", "target", "condition"]
    cells = [part for _, part in found.groupby(keys, sort=False)]
    lines = records(max(cells, key=lambda part: max(cost.mean for cost in part["cost"])))
    first, last = lines[0], lines[-1]
    text = (
        f"On the {target_name(first['target'])}, {first['condition']} costs "
        f"{_points(first['cost'])} of accuracy on intents with {first['group']} in training and "
        f"{_points(last['cost'])} on those with {last['group']}"
    )
    return text + _kept(by_label(rows, groups), last) + "."


def _kept(bits: pd.DataFrame, cell: dict[str, Any]) -> str:
    """Return the exposure that codes of a group keep under a protection, as a clause, or ""."""
    if bits.empty:
        return ""
    same = [bits[key] == cell[key] for key in ("corpus", "target", "condition", "group")]
    found = records(bits[np.logical_and.reduce(same)].sort_values("repetitions"))
    if not found:
        return ""
    own, often = found[-1]["exposure"], count(found[-1]["repetitions"])
    return (
        f", whose codes (R = {often}) keep an exposure of {own.mean:.1f} bits{_range(own)}, where "
        "1.4 is chance"
    )


def table(groups: pd.DataFrame) -> list[list[str]]:
    """Return lines of texts under `HEADINGS`: each group under each protection."""
    return [
        [
            f"{row['corpus']} · {target_name(row['target'])}",
            row["condition"],
            row["grouping"],
            row["group"],
            count(row["tested"]),
            f"{percent(row['accuracy'].mean)}"
            + (f" ({percent_range(row['accuracy'])})" if row["accuracy"].known else ""),
            percent(row["floor"]),
            "–" if row["cost"] is None else f"{100 * row['cost'].mean:.1f}{_ends(row['cost'])}",
        ]
        for row in records(by_condition(groups))
    ]


def _first_number(name: str) -> int:
    number = re.match(r"\d+", name)
    return int(number[0]) if number else 0


def _points(cost: Interval) -> str:
    return f"{100 * cost.mean:.0f} points{_ends(cost)}"


def _ends(cost: Interval) -> str:
    return f" ({100 * cost.lower:.0f} to {100 * cost.upper:.0f})" if cost.known else ""


def _range(own: Interval) -> str:
    return f" ({own.lower:.1f}–{own.upper:.1f})" if own.known else ""
