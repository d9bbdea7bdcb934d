"""Figure: the attacks of a run side by side on the same targets, planted against controls."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from modiva.measure import Group, summarise
from modiva.report.plots import axes, panels
from modiva.report.plots.style import CONTROL, INK, PALETTE, PAPER, Drawing
from modiva.report.words import compact, count, least_defended, percent

_ROW = 0.19  # inches of one attack
_HEIGHT = 7.0  # inches of all panels below each other: with title and note, a page
_WIDTHS = {1: 3.4, 2: 3.6, 3: 4.3, 4: 5.0}  # narrow panels: legible in a column


def side_by_side(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw one row per attack and one panel per corpus and target; needs two attacks.

    All attacks are shown at one number of repetitions, the middle one of those that ran: a choice
    that does not look at the outcome. The table has the others.
    """
    condition = least_defended(frame)
    frame = frame[frame["condition"] == condition]
    planted = frame[frame["planted"] == 1]
    if planted["attack"].nunique() < 2:
        return None
    repetitions = sorted(planted["repetitions"].unique())
    number = repetitions[len(repetitions) // 2]
    frame = frame[frame["repetitions"] == number]
    planted = frame[frame["planted"] == 1]
    pairs, left_out = panels.limited(panels.facets(planted))
    columns = planted["target"].nunique()
    rows = -(-len(pairs) // min(columns if columns <= 4 else 3, len(pairs)))
    # The best on top: matplotlib counts from the bottom.
    attacks = list(planted.groupby("attack")["exact"].mean().sort_values(kind="stable").index)
    most = int(_HEIGHT / rows / _ROW) - 4
    if len(attacks) > most:
        left_out += f" The best {most} of {len(attacks)} attacks; all are in the table."
        attacks = attacks[-most:]
    cost = planted.groupby("attack")["evaluations"].median()
    title = "Attacks side by side"
    height = 0.55 + len(attacks) * _ROW
    sheet = panels.Sheet(title, len(pairs), columns, height=height, across=across, widths=_WIDTHS)
    spoken: list[str] = []
    shown: list[Group] = []
    for pair, (axis,) in zip(pairs, sheet.panels, strict=True):
        part = frame[(frame["corpus"] == pair[0]) & (frame["target"] == pair[1])]
        name = panels.facet_title(frame, pair)
        groups = [
            group
            for group in summarise(part[part["planted"] == 1], ["attack"])
            if group["attack"] in attacks
        ]
        shown += groups
        spoken += _marks(sheet, axis, groups, attacks, name)
        spoken += _nulls(sheet, axis, part, name)
        axes.name_panel(axis, name)
        _scales(axis, [f"{attack} ({compact(max(cost[attack], 1))})" for attack in attacks])
    note = _note(number, repetitions, f"{panels.models_note(shown)}{sheet.unclear_note()}")
    note += left_out
    about = panels.subject(frame, condition, f"R = {count(number)}", groups=shown)
    figure = sheet.finish(about, note)
    return Drawing("attacks", title, figure, note, f"{title}. {' '.join(spoken)}")


def _note(number: int, repetitions: list[int], models: str) -> str:
    """Return the note of the figure at one number of the repetitions that ran."""
    note = (
        f"Secrets planted {count(number)} times that each attack reconstructed in full, and those "
        "that are among its first ten candidates. In brackets: model evaluations for one secret "
        f"(median). {models} The band is the 95 % interval of controls, all attacks together."
    )
    if len(repetitions) > 1:
        ran = ", ".join(map(count, repetitions))
        note += f" Of R\u00a0=\u00a0{ran} the middle one; others: the table."
    return note


def _nulls(sheet: panels.Sheet, axis: Axes, part: pd.DataFrame, panel: str) -> list[str]:
    """Draw the band of the controls and the line of chance; return what the band says."""
    spoken = []
    for group in summarise(part[part["planted"] == 0], ["repetitions"]):
        own = group.exact
        if own and own.known:
            axis.axvspan(own.lower, own.upper, color=CONTROL, alpha=0.28, linewidth=0)
            sheet.key(panels.CONTROLS, patch=CONTROL, alpha=0.28, linewidth=0)
            spoken.append(f"{panel}, {panels.CONTROLS}: {percent(own.mean)}.")
    sizes = part["space_size"].dropna()
    if len(sizes):
        axis.axvline(1 / sizes.min(), color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    return spoken


def _scales(axis: Axes, labels: list[str]) -> None:
    """Set the scales of a panel with one row per label; the first panel of a row names them."""
    axis.set_xlim(-0.03, 1.03)
    axis.set_xticks(np.linspace(0, 1, 5), ["0", "", "50", "", "100 %"])
    axis.set_yticks(range(len(labels)), labels if axes.is_first(axis) else [""] * len(labels))
    axis.set_ylim(-0.6, len(labels) - 0.4)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")


def _marks(
    sheet: panels.Sheet,
    axis: Axes,
    groups: list[Group],
    attacks: list[str],
    panel: str,
) -> list[str]:
    """Draw the exact rate of each attack with its interval, and the first ten as a stroke."""
    color, second = PALETTE[0], PALETTE[1]
    whole: Any = {"marker": "o", "linestyle": "none", "color": color, "clip_on": False, "zorder": 3}
    ten: Any = {"marker": "|", "linestyle": "none", "color": second, "markersize": 7}
    sheet.key("reconstructed exactly", **{**whole, "markeredgecolor": PAPER})
    spoken = []
    for group in groups:
        y, own, top = attacks.index(group["attack"]), group.exact, group.top10
        if not own:
            continue
        words = f"{panel}, {group['attack']}: exactly {percent(own.mean)}"
        if top:
            axis.plot([top.mean], [y], clip_on=False, zorder=2.5, markeredgewidth=1.6, **ten)
            sheet.key("among the first ten", **ten, markeredgewidth=1.6)
            words += f", among the first ten {percent(top.mean)}"
        spoken.append(f"{words}.")
        if panels.above(own, group.chance or 0.0):
            if own.known:
                axis.plot([own.lower, own.upper], [y, y], color=color, linewidth=1.2)
            axis.plot([own.mean], [y], markeredgecolor=PAPER, **whole)
        else:
            hollow: Any = {"markerfacecolor": PAPER, "markersize": 3.6}
            axis.plot([own.mean], [y], **whole, **hollow)
            sheet.unclear = max(sheet.unclear, own.upper if own.known else 0.0)
    return spoken
