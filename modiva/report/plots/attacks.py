"""Figure: the attacks of a run side by side on the same targets, planted against controls."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from modiva.measure import summarise
from modiva.report.plots import panels
from modiva.report.plots.exposures import NULL_BITS
from modiva.report.plots.style import INK, MUTED, PAPER, Drawing, control_look, look
from modiva.report.words import count, least_defended

# What attacks are compared by: a column of panels each.
_METRICS = (
    ("exact", "reconstructed exactly"),
    ("top10", "among the first ten"),
    ("exposure", "exposure (bits)"),
)


def side_by_side(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw one row an attack, one mark a number of repetitions, one of controls; needs two attacks.

    A row of panels is a corpus and target, a column a metric.
    """
    condition = least_defended(frame)
    frame = frame[frame["condition"] == condition]
    planted = frame[frame["planted"] == 1]
    if planted["attack"].nunique() < 2:
        return None
    # The best on top: matplotlib counts from the bottom.
    attacks = list(planted.groupby("attack")["exact"].mean().sort_values(kind="stable").index)
    cost = planted.groupby("attack")["evaluations"].median()
    repetitions = panels.some(sorted(planted["repetitions"].unique()))
    metrics = [
        (name, label) for name, label in _METRICS if name in planted and planted[name].notna().any()
    ]
    pairs, left_out = panels.limited(panels.facets(planted), 4)
    labels = [
        f"{name}\n{count(cost[name])} evaluation{'' if cost[name] == 1 else 's'}"
        for name in attacks
    ]
    figure, axes = panels.grid(
        len(pairs) * len(metrics),
        len(metrics),
        height=0.95 + len(attacks) * (0.2 + 0.085 * (1 + len(repetitions))),
        across=across,
    )
    spoken: list[str] = []
    places = [(pair, metric) for pair in pairs for metric in metrics]
    for (pair, (metric, label)), (axis,) in zip(places, axes, strict=True):
        part = frame[(frame["corpus"] == pair[0]) & (frame["target"] == pair[1])]
        title = panels.facet_title(frame, pair)
        own = part[part["planted"] == 1]
        groups = summarise(own, ["repetitions", "attack"])
        lines: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
            (
                f"R = {count(number)}",
                [group for group in groups if group["repetitions"] == number],
                look(turn),
            )
            for turn, number in enumerate(repetitions)
        ]
        controls = summarise(part[part["planted"] == 0], ["attack"])
        lines.append(("controls (never planted)", controls, control_look()))
        for turn, (name, line, style) in enumerate(lines):
            line = [group for group in line if group[metric]]
            if line:
                step = min(0.17, 0.75 / len(lines))
                ys = [
                    attacks.index(group["attack"]) - panels.dodge(turn, len(lines), step, room=0.75)
                    for group in line
                ]
                _marks(axis, [group[metric] for group in line], ys, name, style)
                spoken.append(_spoken(f"{title}, {label}, {name}", metric, line))
        _scale(axis, metric, part)
        axis.set_xlabel(label)
        first = panels.is_first(axis)
        axis.set_title(title if metric == metrics[0][0] or across == 1 else "")
        axis.set_yticks(range(len(attacks)), labels if first else [""] * len(attacks))
        axis.set_ylim(-0.55, len(attacks) - 0.45)
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x")
        panels.subtitle(axis, panels.numbers_line(groups) if metric == metrics[0][0] else "")
    panels.legend(figure, [axis for (axis,) in axes])
    caption = (
        f"Each attack on the same targets ({condition}), by repetitions R, best on top: secrets "
        "reconstructed in full, secrets among the first ten candidates, and mean exposure, which "
        "ranks by what the attack minimises and not by how it searches. Bars are 95 % intervals "
        "over models; controls, never planted, are those of all R. Under each name, the median "
        f"number of model evaluations that it spent on one secret.{left_out}"
    )
    title = "Attacks side by side"
    return Drawing("attacks", title, figure, caption, f"{title}. {' '.join(spoken)}")


def _marks(
    axis: panels.Axes,
    measures: Sequence[Mapping[str, Any]],
    ys: Sequence[float],
    label: str,
    style: dict[str, Any],
) -> None:
    """Draw means with their intervals, sideways."""
    means = np.array([measure["mean"] for measure in measures], dtype=float)
    bounds = [(measure["lower"], measure["upper"]) for measure in measures]
    lower, upper = np.array(bounds, dtype=float).T  # None, one model only, becomes nan
    options = {
        "markeredgecolor": PAPER if style["marker"] != "x" else style["color"],
        **style,
        "linestyle": "none",
    }
    axis.errorbar(
        means,
        ys,
        xerr=np.vstack([means - lower, upper - means]).clip(min=0),
        label=label,
        elinewidth=1.1,
        clip_on=False,
        **options,
    )


def _scale(axis: panels.Axes, metric: str, part: pd.DataFrame) -> None:
    """Make x a rate, or bits with what a never-seen secret has and all that there are."""
    if metric != "exposure":
        axis.set_xlim(-0.03, 1.03)
        axis.set_xticks(np.linspace(0, 1, 5), ["0", "25", "50", "75", "100 %"])
        return
    sizes = part["space_size"].dropna().unique()
    top = max((math.log2(size) for size in sizes), default=float(part["exposure"].max()))
    axis.axvline(NULL_BITS, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=2)
    if len(sizes) == 1:
        axis.axvline(top, color=MUTED, linewidth=0.8, linestyle="--", zorder=2)
    axis.set_xlim(-0.03 * top, 1.05 * top)


def _spoken(label: str, metric: str, groups: Sequence[Mapping[str, Any]]) -> str:
    names = [group["attack"] for group in groups]
    if metric != "exposure":
        return panels.spoken(label, names, [group[metric] for group in groups])
    bits = [f"{group[metric]['mean']:.1f} by {group['attack']}" for group in groups]
    return f"{label}: {', '.join(bits)}."
