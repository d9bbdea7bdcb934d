"""Figure: how far secrets rise among all they could have been, planted beside controls."""

import math
from typing import Any

import numpy as np
import pandas as pd

from modiva.report.plots import panels
from modiva.report.plots.style import CONTROL, INK, MUTED, PALETTE, Drawing
from modiva.report.words import count, strongest_attack

NULL_BITS = math.log2(math.e)  # mean exposure of a secret that the model never saw
MAX_POINTS = 40  # beyond it points hide the box


def distributions(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw boxes of exposure by repetitions: controls, then one a defense."""
    if "exposure" not in frame:
        return None
    attack = strongest_attack(frame)
    frame = frame[(frame["attack"] == attack) & frame["exposure"].notna()]
    if frame.empty:
        return None
    pairs, left_out = panels.limited(panels.facets(frame))
    conditions = [
        name for name in frame["condition"].cat.categories if (frame["condition"] == name).any()
    ]
    if len(conditions) > panels.LINES:
        left_out += f" {panels.LINES} of {len(conditions)} defenses, evenly chosen."
        conditions = panels.some(conditions)
    repetitions = panels.some(sorted(frame["repetitions"].unique()), 8)
    boxes = len(conditions) + 1
    figure, axes = panels.grid(len(pairs), frame["target"].nunique(), height=2.6, across=across)
    spoken = []
    for pair, (axis,) in zip(pairs, axes, strict=True):
        part = frame[(frame["corpus"] == pair[0]) & (frame["target"] == pair[1])]
        title = panels.facet_title(frame, pair)
        axis.set_title(title)
        for place, number in enumerate(repetitions):
            here = part[part["repetitions"] == number]
            for turn in range(boxes):
                if turn == 0:
                    values = here.loc[here["planted"] == 0, "exposure"]
                    color, label = CONTROL, "controls (never planted)"
                else:
                    chosen = (here["planted"] == 1) & (here["condition"] == conditions[turn - 1])
                    values = here.loc[chosen, "exposure"]
                    color, label = PALETTE[(turn - 1) % len(PALETTE)], conditions[turn - 1]
                if len(values):
                    x = place + (turn - (boxes - 1) / 2) * 0.8 / boxes
                    _box(axis, x, values.to_numpy(), min(0.62 / boxes, 0.16), color)
                    spoken.append(f"{title}, R = {number}, {label}: median {values.median():.1f}.")
        _references(axis, part)
        axis.set_xticks(range(len(repetitions)), [count(number) for number in repetitions])
        axis.tick_params(axis="x", length=0)
        axis.set_xlim(-0.55, len(repetitions) - 0.45)
        axis.set_xlabel(panels.REPETITIONS)
        if panels.is_first(axis):
            axis.set_ylabel("exposure (bits)")
        planted = part[part["planted"] == 1]
        if len(planted):
            sizes = planted.groupby(["repetitions", "condition"], observed=True).size()
            span = panels.span_of_n([{"n": int(size)} for size in sizes])
            panels.subtitle(axis, f"n = {span} planted in a box")
    for turn, name in enumerate([*conditions, "controls (never planted)"]):
        color = CONTROL if turn == len(conditions) else PALETTE[turn % len(PALETTE)]
        axes[0][0].plot([], [], color=color, linewidth=6, alpha=0.6, label=name)
    panels.legend(figure, [axis for (axis,) in axes])
    caption = (
        "Exposure of the secrets (log2 of the number of possible secrets minus log2 of the rank of "
        "the true one, ties against it): median, quartiles, and whiskers from the 5th to the 95th "
        f"percentile; single secrets as points where they are at most {MAX_POINTS}. A secret that "
        f"the model never saw has {NULL_BITS:.2f} bits on average (dotted).{left_out}"
    )
    title = "Exposure, planted beside controls"
    return Drawing("exposure", title, figure, caption, f"{title}. {' '.join(spoken)}")


def _box(
    axis: panels.Axes, x: float, values: np.ndarray[Any, Any], width: float, color: str
) -> None:
    style = {"color": color, "linewidth": 1.1}
    axis.boxplot(
        [values],
        positions=[x],
        widths=width,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": color + "38", "edgecolor": color, "linewidth": 1.1},
        whiskerprops=style,
        capprops=style,
        medianprops={"color": INK, "linewidth": 1.6},
        zorder=3,
    )
    if len(values) <= MAX_POINTS:
        # Spread by order, not by chance: the figure is a function of its rows.
        spread = np.linspace(-0.32, 0.32, len(values)) * width if len(values) > 1 else [0.0]
        shuffled = np.random.default_rng(0).permutation(np.asarray(spread))
        axis.plot(x + shuffled, values, ".", color=color, markersize=2.6, alpha=0.75, zorder=4)


def _references(axis: panels.Axes, part: pd.DataFrame) -> None:
    """Draw what a never-seen secret has on average, and all the bits there are."""
    axis.axhline(NULL_BITS, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=2)
    bits = {round(math.log2(size), 2) for size in part["space_size"].dropna().unique()}
    top = max(bits, default=float(part["exposure"].max()))
    axis.set_ylim(-0.03 * top, 1.1 * top)
    if len(bits) == 1:
        axis.axhline(top, color=MUTED, linewidth=0.8, linestyle="--", zorder=2)
        axis.annotate(
            f"found first: {top:.1f} bits",
            (1, top),
            xytext=(0, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            fontsize=7,
            color=MUTED,
        )
