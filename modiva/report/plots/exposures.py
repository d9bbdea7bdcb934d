"""Figure: how far secrets rise among all they could have been, above what was never planted."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from modiva.report.plots import axes, panels
from modiva.report.plots.style import CONTROL, INK, MUTED, PALETTE, Drawing
from modiva.report.words import count, strongest_attack

NULL_BITS = math.log2(math.e)  # mean exposure of a secret that the model never saw
MAX_POINTS = 40  # beyond it points hide the box


def distributions(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw boxes of exposure by repetitions, one a defense, above the band of controls."""
    if "exposure" not in frame:
        return None
    frame = frame[frame["exposure"].notna()]
    if not (frame["planted"] == 1).any():
        return None
    attack = strongest_attack(frame)
    frame = frame[frame["attack"] == attack]
    planted = frame[frame["planted"] == 1]
    pairs, left_out = panels.limited(panels.facets(planted))
    conditions = [
        name for name in frame["condition"].cat.categories if (planted["condition"] == name).any()
    ]
    if len(conditions) > panels.LINES:
        left_out += f" {panels.LINES} of {len(conditions)} defenses, evenly chosen."
        conditions = panels.some(conditions)
    repetitions = panels.some(sorted(planted["repetitions"].unique()))
    title = "Exposure of planted secrets"
    sheet = panels.Sheet(title, len(pairs), frame["target"].nunique(), height=2.0, across=across)
    spoken, shown = [], []
    for pair, (axis,) in zip(pairs, sheet.panels, strict=True):
        part = frame[(frame["corpus"] == pair[0]) & (frame["target"] == pair[1])]
        name = panels.facet_title(frame, pair)
        axes.name_panel(axis, name)
        for label, values in _boxes(sheet, axis, part, repetitions, conditions):
            shown.append(len(values))
            spoken.append(f"{name}, {label}: median {np.median(values):.1f}.")
        controls = part.loc[part["planted"] == 0, "exposure"]
        if len(controls):
            _band(sheet, axis, controls)
            spoken.append(f"{name}, {panels.CONTROLS}: median {controls.median():.1f}.")
        _references(sheet, axis, frame)
        _scales(axis, repetitions)
    note = (
        "Exposure: log2 of the number of possible secrets minus log2 of the rank of the true one. "
        "Boxes: median, quartiles, whiskers from the 5th to the 95th percentile; single secrets "
        f"as points where they are at most {MAX_POINTS}. The band holds the same 90 % of "
        f"controls; a secret never seen has {NULL_BITS:.2f} bits on average.{left_out}"
    )
    about = panels.subject(
        frame, f"ranked by {attack}", f"n\u00a0=\u00a0{panels.span(shown)} a box"
    )
    figure = sheet.finish(about, note)
    return Drawing("exposure", title, figure, note, f"{title}. {' '.join(spoken)}")


def _band(sheet: panels.Sheet, axis: Axes, controls: "pd.Series[float]") -> None:
    """Draw the middle 90 % of the exposures of controls."""
    low, high = (float(controls.quantile(share)) for share in (0.05, 0.95))
    axis.axhspan(low, high, color=CONTROL, alpha=0.28, linewidth=0, zorder=1.5)
    sheet.key(panels.CONTROLS, patch=CONTROL, alpha=0.28, linewidth=0)


def _scales(axis: Axes, repetitions: Sequence[int]) -> None:
    """Set the scales of a panel with one place per number of repetitions."""
    axis.set_xticks(range(len(repetitions)), [count(number) for number in repetitions])
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.55, len(repetitions) - 0.45)
    axis.set_xlabel(panels.REPETITIONS)
    axis.tick_params(axis="y", labelleft=axes.is_first(axis))
    if axes.is_first(axis):
        axis.set_ylabel("exposure (bits)")


def _boxes(
    sheet: panels.Sheet,
    axis: Axes,
    part: pd.DataFrame,
    repetitions: Sequence[int],
    conditions: Sequence[str],
) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Draw the boxes of one panel; yield what each is of, and its values."""
    for place, number in enumerate(repetitions):
        here = part[(part["repetitions"] == number) & (part["planted"] == 1)]
        for turn, condition in enumerate(conditions):
            values = here.loc[here["condition"] == condition, "exposure"].to_numpy()
            if len(values):
                x = place + (turn - (len(conditions) - 1) / 2) * 0.8 / len(conditions)
                color = PALETTE[turn]
                _box(axis, x, values, min(0.6 / len(conditions), 0.2), color)
                sheet.key(condition, patch=color, alpha=0.6, linewidth=0)
                yield f"R = {count(number)}, {condition}", values


def _box(axis: Axes, x: float, values: np.ndarray[Any, Any], width: float, color: str) -> None:
    style = {"color": color, "linewidth": 1.0}
    axis.boxplot(
        [values],
        positions=[x],
        widths=width,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": color + "38", "edgecolor": color, "linewidth": 1.0},
        whiskerprops=style,
        capprops=style,
        medianprops={"color": INK, "linewidth": 1.4},
        zorder=3,
    )
    if len(values) <= MAX_POINTS:
        # Spread by order, not by chance: the figure is a function of its rows.
        spread = np.linspace(-0.32, 0.32, len(values)) * width if len(values) > 1 else [0.0]
        shuffled = np.random.default_rng(0).permutation(np.asarray(spread))
        axis.plot(x + shuffled, values, ".", color=color, markersize=2.2, alpha=0.75, zorder=4)


def _references(sheet: panels.Sheet, axis: Axes, frame: pd.DataFrame) -> None:
    """Draw what a never-seen secret has on average, and all the bits there are."""
    never: Any = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 2))}
    axis.axhline(NULL_BITS, zorder=2, **never)
    sheet.key("never seen, on average", **never)
    bits = {round(math.log2(size), 2) for size in frame["space_size"].dropna().unique()}
    top = max(bits, default=float(frame["exposure"].max()))
    axis.set_ylim(-0.03 * top, 1.06 * top)
    if len(bits) == 1:
        first: Any = {"color": MUTED, "linewidth": 0.8, "linestyle": "--"}
        axis.axhline(top, zorder=2, **first)
        sheet.key(f"ranked first ({top:.1f} bits)", **first)
