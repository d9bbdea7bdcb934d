"""What protections cost groups of test sentences, in words: one sentence and a small table."""

import re
from typing import Any

import numpy as np
import pandas as pd

from modiva.fairness import paired
from modiva.measure import Interval
from modiva.report.words import (
    NO_DEFENSE,
    count,
    percent,
    percent_range,
    prepare,
    records,
    target_name,
)

HEADINGS = ("Target", "Defense", "Grouping", "Group", "Tested", "Accuracy", "Floor", "Cost, points")
FREQUENCY = "frequency"
FEWEST = 20


def by_condition(groups: pd.DataFrame) -> pd.DataFrame:
    """Return costs of groups (with their `condition`), the groups of a grouping in order.

    Frequency and length have their groups from the largest number to the smallest, so that common
    intents come before rare ones; others from the most test sentences to the fewest.
    """
    found = paired.costs(groups, ("condition",))
    counted = found["grouping"].isin([FREQUENCY, "length"])
    order = -found["group"].map(_first_number).where(counted, found["tested"])
    return found.assign(order=order).sort_values("order", kind="stable").drop(columns="order")


def by_label(rows: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Return the exposure of canaries by the frequency of their label, with `condition`."""
    if not {"exposure", "attack"} <= set(rows) or "frequency" not in set(groups["grouping"]):
        return pd.DataFrame()
    if "seen" in rows:  # groups are of the final model, and so are the attacks beside them
        rows = prepare(rows[rows["seen"].isna() | (rows["seen"] == "final")].drop(columns="seen"))
    return paired.exposures(rows, groups, ("condition",))


def drawn(groups: pd.DataFrame) -> list[str]:
    """Return the groupings that have a figure: frequency or else the first, and all columns."""
    names = list(dict.fromkeys(groups["grouping"]))
    first = FREQUENCY if FREQUENCY in names else names[0]
    return [first, *(name for name in paired.own_columns(groups) if name != first)]


def sentence(rows: pd.DataFrame, groups: pd.DataFrame) -> str:
    """Return what the costliest protection takes of the first and the last group, or "".

    Of frequency, common and rare intents; of a column of the user, its most and its least frequent
    value; of other groupings nothing. Groups of fewer than `FEWEST` test sentences are left out:
    models that all get one sentence right would give an interval without width.
    """
    found = by_condition(groups)
    found = found[(found["condition"] != NO_DEFENSE) & found["cost"].notna()]
    said = []
    for grouping in drawn(groups):
        part = found[(found["grouping"] == grouping) & (found["tested"] >= FEWEST)]
        if part["group"].nunique() < 2 or grouping not in (FREQUENCY, *paired.own_columns(groups)):
            continue
        cells = [cell for _, cell in part.groupby(["corpus", "target", "condition"], sort=False)]
        lines = records(max(cells, key=lambda cell: max(cost.mean for cost in cell["cost"])))
        first, last = lines[0], lines[-1]
        places = (
            f"on intents with {first['group']} in training",
            f"on those with {last['group']}",
        )
        if grouping != FREQUENCY:
            places = (f"where {grouping} is {first['group']}", f"where it is {last['group']}")
        kept = _kept(by_label(rows, groups), last) if grouping == FREQUENCY else ""
        said.append(
            f"On the {target_name(first['target'])}, {first['condition']} costs "
            f"{_points(first['cost'])} of accuracy {places[0]} and {_points(last['cost'])} "
            f"{places[1]}{kept}."
        )
    return " ".join(said)


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
