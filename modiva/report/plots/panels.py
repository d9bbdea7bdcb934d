"""Small multiples and what their panels share: series with intervals, chance, legend, n."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from modiva.report.plots.style import INK, MUTED, PAPER
from modiva.report.words import count, odds, percent, percent_range, target_name

Group = dict[str, Any]
T = TypeVar("T")
REPETITIONS = "repetitions in the training data"
ACROSS = 4  # panels side by side
PANELS = 8  # of a figure; a grid may have hundreds
LINES = 6  # of a panel: as many as there are colors


def facets(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the (corpus, target) pairs that the rows hold, in order of appearance."""
    pairs = frame[["corpus", "target"]].drop_duplicates().itertuples(index=False, name=None)
    corpora = list(dict.fromkeys(frame["corpus"]))
    return sorted(pairs, key=lambda pair: corpora.index(pair[0]))


def facet_title(frame: pd.DataFrame, pair: tuple[str, str]) -> str:
    """Return a panel's title: the target, and the corpus where there are several."""
    corpus, target = pair
    name = target_name(target)
    return f"{corpus} · {name}" if frame["corpus"].nunique() > 1 else name


def limited(panels: Sequence[T], most: int = PANELS) -> tuple[list[T], str]:
    """Return the first panels and a sentence for the caption on what was left out, if anything."""
    if len(panels) <= most:
        return list(panels), ""
    return list(panels[:most]), f" The first {most} of {len(panels)} panels; all are in the table."


def some(values: Sequence[T], most: int = LINES) -> list[T]:
    """Return at most so many values, evenly chosen, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(turn * (len(values) - 1) / (most - 1))] for turn in range(most)]


def grid(
    number: int,
    columns: int,
    *,
    height: float = 2.35,
    stacked: Sequence[float] = (1,),
    across: int = ACROSS,
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with `number` panels, each of axes on top of each other.

    Args:
        number: panels.
        columns: panels side by side; a row never holds more than four.
        height: of one panel, in inches.
        stacked: relative heights of the axes in a panel, from the top.
        across: most panels side by side; 1 is for a phone.
    """
    columns = max(1, min(columns if columns <= 4 else 3, number, across))
    rows = -(-number // columns)
    width = {1: 4.6, 2: 6.9, 3: 8.4, 4: 10.2}[columns] if across > 1 else 3.7
    figure = Figure(figsize=(width, rows * height + 0.2), layout="constrained")
    levels = len(stacked)
    ratios = list(stacked) * rows
    axes = figure.subplots(rows * levels, columns, squeeze=False, height_ratios=ratios)
    panels = []
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        panel = [axes[row * levels + level, column] for level in range(levels)]
        if place < number:
            panels.append(panel)
        for axis in panel:
            axis.set_visible(place < number)
    return figure, panels


def series(
    axis: Axes,
    xs: ArrayLike,
    measures: Sequence[Mapping[str, Any]],
    label: str,
    style: dict[str, Any],
) -> None:
    """Draw means with their intervals; measures as `summarise` gives them."""
    means = np.array([measure["mean"] for measure in measures], dtype=float)
    bounds = [(measure["lower"], measure["upper"]) for measure in measures]
    options: dict[str, Any] = {
        "markeredgecolor": PAPER if style["marker"] != "x" else style["color"],
        **style,
    }
    lower, upper = np.array(bounds, dtype=float).T  # None, one model only, becomes nan
    axis.errorbar(
        xs,
        means,
        yerr=np.vstack([means - lower, upper - means]).clip(min=0),
        label=label,
        elinewidth=1.1,
        capsize=2.2,
        capthick=1.1,
        clip_on=False,
        zorder=3,
        **options,
    )


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


def chance_line(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw what guessing reaches: of several patterns, in the one with the fewest secrets."""
    sizes = rows["space_size"].dropna().unique()
    if len(sizes):
        label = f"chance ({odds(1 / min(sizes))}{' or less' if len(sizes) > 1 else ''})"
        style = (0, (1, 2))
        axis.axhline(1 / min(sizes), color=INK, linewidth=0.8, linestyle=style, label=label)


def repetition_places(repetitions: Sequence[int]) -> dict[int, float]:
    """Return x positions on a log axis, on which 0 has a place of its own to the left of 1."""
    return {int(number): place for number, place in log_places(repetitions, 0.6).items()}


def log_places(values: Sequence[float], gap: float) -> dict[float, float]:
    """Return positions on a log axis, on which 0 has a place of its own, `gap` decades left."""
    positive = [value for value in values if value > 0]
    start = np.log10(min(positive)) if positive else 0.0
    return {value: float(np.log10(value)) if value else start - gap for value in values}


def repetition_axis(axis: Axes, places: dict[int, float]) -> None:
    """Label x with numbers of repetitions."""
    axis.set_xticks(list(places.values()), [count(number) for number in places])
    axis.tick_params(axis="x", which="minor", length=0)
    left, right = min(places.values()), max(places.values())
    margin = max(0.12 * (right - left), 0.2)
    axis.set_xlim(left - margin, right + margin)
    axis.set_xlabel(REPETITIONS)


def dodge(number: int, of: int, width: float, room: float = 0.3) -> float:
    """Return the sideways step of one series among several, so that intervals do not overlap.

    Args:
        number: which series, from 0.
        of: how many.
        width: step from one to the next.
        room: what all steps together may take.
    """
    return (number - (of - 1) / 2) * min(width, room / of)


def numbers_line(groups: Sequence[Group]) -> str:
    """Return how much a point rests on, say "24 secrets in 12 models a point"."""
    models = _span([group["n_models"] for group in groups])
    return f"n = {span_of_n(groups)} in {models} {'model' if models == '1' else 'models'} a point"


def span_of_n(groups: Sequence[Group]) -> str:
    """Return the least and the greatest n of some groups, say "18–20"."""
    return _span([group["n"] for group in groups])


def subtitle(axis: Axes, text: str, above: float = 5) -> None:
    """Write a muted line under a panel's title, `above` points over the panel."""
    axis.set_title(f"{axis.get_title(loc='left')}\n", loc="left")
    axis.annotate(
        text,
        (0, 1),
        xytext=(0, above),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=7.5,
        color=MUTED,
    )


def legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend for all panels below them, read row by row, as wide as the figure."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            line = handle[0] if isinstance(handle, ErrorbarContainer) else handle
            found.setdefault(label, line)
    labels = sorted(found, key=lambda label: label.startswith(("chance", "controls")))
    columns = next(
        columns
        for columns in range(len(labels), 0, -1)
        if columns == 1 or _legend_width(labels, columns) < figure.get_figwidth()
    )
    figure.set_figheight(figure.get_figheight() + 0.19 * -(-len(labels) // columns))
    # matplotlib fills column by column: deal the labels so that they read row by row.
    order = [label for column in range(columns) for label in labels[column::columns]]
    figure.legend(
        [found[label] for label in order],
        order,
        loc="outside lower center",
        ncols=columns,
        handlelength=2.6,
        columnspacing=1.6,
    )


def _legend_width(labels: Sequence[str], columns: int) -> float:
    """Return about how many inches a legend takes: a letter 0.057, a handle and its gap 0.7."""
    return sum(
        0.7 + 0.057 * max(len(label) for label in labels[column::columns])
        for column in range(columns)
    )


def spoken(label: str, xs: Sequence[Any], measures: Sequence[dict[str, Any]]) -> str:
    """Return a series in words, for those who do not see the figure."""
    values = [
        f"{percent(measure['mean'])} ({percent_range(measure)}) at {x}"
        for x, measure in zip(xs, measures, strict=True)
    ]
    return f"{label}: {', '.join(values)}."


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return count(low) if low == high else f"{count(low)}–{count(high)}"


__all__ = [
    "ACROSS",
    "LINES",
    "REPETITIONS",
    "Axes",
    "Group",
    "chance_line",
    "dodge",
    "facet_title",
    "facets",
    "grid",
    "is_first",
    "legend",
    "limited",
    "log_places",
    "numbers_line",
    "rate_axis",
    "repetition_axis",
    "repetition_places",
    "series",
    "some",
    "span_of_n",
    "spoken",
    "subtitle",
]
