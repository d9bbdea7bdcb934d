"""The axes of panels: rates on y, places on x with a mark where 0 is set apart."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from modiva.report.plots.style import MUTED, PAPER
from modiva.report.words import count


def name_panel(axis: Axes, name: str) -> None:
    """Give a panel its title, corpus and target on a line each: both fit a narrow panel then."""
    axis.set_title(name.replace(" · ", "\n"))


def is_first(axis: Axes) -> bool:
    """Return whether a panel is at the left edge, where the labels of y are."""
    spec = axis.get_subplotspec()
    return spec is not None and spec.is_first_col()


def rate_axis(axis: Axes, label: str) -> None:
    """Make y a rate from 0 to 100 %, named and numbered in the first panel of a row."""
    axis.set_ylim(-0.03, 1.03)
    axis.set_yticks(np.linspace(0, 1, 5))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0, labelleft=is_first(axis))
    if is_first(axis):
        axis.set_ylabel(label)


def log_places(values: Sequence[float], gap: float = 0.6) -> dict[float, float]:
    """Return positions on a log axis, on which 0 has a place of its own, `gap` decades left."""
    positive = [value for value in values if value > 0]
    start = np.log10(min(positive)) if positive else 0.0
    return {value: float(np.log10(value)) if value else start - gap for value in values}


def place_axis(
    axis: Axes,
    places: Mapping[float, float],
    inches: float,
    label: str,
    tick: Callable[[float], str] | None = None,
) -> tuple[float, float] | None:
    """Give x its places, a label at as many as fit, and a mark where 0 is set apart.

    Returns:
        The two ends of the break between 0 and the first positive value; None without a 0.
    """
    left, right = min(places.values()), max(places.values())
    margin = max(0.09 * (right - left), 0.2 if len(places) == 1 else 0.0)
    axis.set_xlim(left - margin, right + margin)
    shown = readable(places, inches)
    axis.set_xticks([places[value] for value in shown], [(tick or _tick)(value) for value in shown])
    axis.tick_params(axis="x", which="minor", length=0)
    axis.set_xlabel(label)
    if 0 not in places or len(places) == 1:
        return None
    ends = sorted(places.values())[:2]
    middle, half = sum(ends) / 2, 0.014 * (right - left + 2 * margin)
    look: Any = {"transform": axis.get_xaxis_transform(), "clip_on": False, "zorder": 5}
    axis.plot([middle - half, middle + half], [0, 0], color=PAPER, linewidth=2.5, **look)
    slash: Any = [(-1, -2), (1, 2)]
    style = {"marker": slash, "markersize": 6, "linestyle": "none", "color": MUTED}
    axis.plot([middle - half, middle + half], [0, 0], **style, **look)
    return ends[0], ends[1]


def readable(places: Mapping[float, float], inches: float, least: float = 0.3) -> list[float]:
    """Return the values whose labels have `least` inches of their own, the first and last first."""
    span = (max(places.values()) - min(places.values())) * 1.18 or 1.0
    shown: list[float] = []
    for value in dict.fromkeys([min(places), max(places), *places]):
        if all(abs(places[value] - places[own]) * inches / span >= least for own in shown):
            shown.append(value)
    return sorted(shown)


def _tick(value: float) -> str:
    return count(value) if value >= 1 and value == int(value) else f"{value:g}"
