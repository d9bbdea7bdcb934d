"""Figure: accuracy of groups of test sentences with and without protections, exposure below."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from modiva.measure import Interval
from modiva.report.groups import FREQUENCY, by_condition, by_label, drawn
from modiva.report.plots import axes, panels
from modiva.report.plots.exposures import NULL_BITS
from modiva.report.plots.style import INK, Drawing, look
from modiva.report.words import NO_DEFENSE

_LINES = 5  # of a panel
_LETTERS = 36  # of all names of groups that stand beside each other
_GROUPS = 12  # of a column with many values: the most tested


def by_group(
    groups: pd.DataFrame, rows: pd.DataFrame, number: int = 0, across: int = panels.ACROSS
) -> Drawing | None:
    """Draw accuracy by group, one line per protection, and exposure by the label's frequency.

    Args:
        groups: rows of `GroupRow` with their `condition`.
        rows: of attacks on the same models.
        number: of the grouping, among those that are drawn.
        across: panels side by side.
    """
    found = by_condition(groups)
    grouping = drawn(groups)[number]
    found = found[found["grouping"] == grouping]
    cells, left_out = panels.limited(panels.facets(found), 4)
    bits = by_label(rows, groups) if grouping == FREQUENCY else pd.DataFrame()
    title = f"What protections cost, by {grouping}"
    heights = [1.6, 1.2] if len(bits) else [1.9]
    sheet = panels.Sheet(
        title, len(cells), len(cells), height=sum(heights) + 0.6, stacked=heights, across=across
    )
    spoken: list[str] = []
    for cell, (axis, *below) in zip(cells, sheet.panels, strict=True):
        part = found[(found[["corpus", "target"]] == list(cell)).all(axis=1)]
        names = list(dict.fromkeys(part["group"]))
        if len(names) > _GROUPS:
            left_out = f" The {_GROUPS} groups with most test sentences are shown."
            names = names[:_GROUPS]
            part = part[part["group"].isin(names)]
        name = panels.facet_title(found, cell)
        axes.name_panel(axis, name)
        axes.rate_axis(axis, "accuracy")
        conditions = _conditions(part)
        lines = [_line(part, condition, names, "accuracy", turn) for turn, condition in conditions]
        spoken += sheet.lines(axis, lines, 0.0, panel=name, step=0.06)
        for own in (axis, *below):
            _places(own, names, grouping if own is [axis, *below][-1] else "")
        for own in below:
            _exposure(sheet, own, bits, cell, names, conditions)
    notes = [
        "Accuracy on groups of test sentences with and without protections; models of the same "
        "seed have the same sentences and secrets.",
        panels.models_note(list(found["accuracy"])),
    ]
    protections = found["condition"].nunique()
    if protections > _LINES:
        notes.append(f"{_LINES} of {protections} conditions are shown; the table has all.")
    if len(bits):
        often = int(bits["repetitions"].max())
        notes.append(
            f"Below, the exposure of secrets said {often} times whose label is an intent of the "
            f"group, by {bits['attack'].iloc[0]}; the dotted line is that of a secret never seen."
        )
    note = " ".join(notes) + left_out
    figure = sheet.finish(" · ".join(dict.fromkeys(found["corpus"])), note)
    name = f"cost_by_group_{number + 1}" if number else "cost_by_group"
    return Drawing(name, title, figure, note, f"{title}. {' '.join(spoken)}")


def _conditions(part: pd.DataFrame) -> list[tuple[int, str]]:
    """Return the protections that a panel shows, the unprotected first, then the cheapest."""
    reached = part.assign(mean=[own.mean for own in part["accuracy"]])
    means = reached.groupby("condition", sort=False, observed=True)["mean"].mean()
    names = sorted(means.index, key=lambda name: (name != NO_DEFENSE, -means[name]))
    return list(enumerate(panels.some(names, _LINES)))


def _line(part: pd.DataFrame, condition: str, names: list[str], measure: str, turn: int) -> Any:
    own = part[part["condition"] == condition].drop_duplicates("group").set_index("group")
    there = [name for name in names if name in own.index]
    measures: list[Interval] = own.loc[there, measure].tolist()
    xs = [float(names.index(name)) for name in there]
    return panels.Line(condition, xs, there, measures, look(turn))


def _places(axis: Axes, names: list[str], label: str) -> None:
    axis.set_xlim(-0.4, len(names) - 0.6)
    shown = [name.replace(" sentences", "").replace(" words", "") for name in names]
    axis.set_xticks(range(len(names)), shown if label else [""] * len(names))
    if sum(map(len, shown)) > _LETTERS:
        axis.tick_params(axis="x", labelrotation=90)
    if label:
        unit = {FREQUENCY: "training sentences of the intent", "length": "words"}.get(label, label)
        axis.set_xlabel(unit)


def _exposure(
    sheet: panels.Sheet,
    axis: Axes,
    bits: pd.DataFrame,
    cell: tuple[str, str],
    names: list[str],
    conditions: list[tuple[int, str]],
) -> None:
    part = bits[(bits[["corpus", "target"]] == list(cell)).all(axis=1)]
    part = part[part["repetitions"] == bits["repetitions"].max()]
    axis.set_ylim(0, max(own.upper if own.known else own.mean for own in bits["exposure"]) + 0.5)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0, labelleft=axes.is_first(axis))
    if axes.is_first(axis):
        axis.set_ylabel("exposure\n(bits)")
    axis.axhline(NULL_BITS, zorder=2, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    lines = [_line(part, condition, names, "exposure", turn) for turn, condition in conditions]
    sheet.lines(axis, lines, NULL_BITS, panel="exposure", step=0.06, named=False)
