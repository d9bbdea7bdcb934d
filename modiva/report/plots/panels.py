"""The sheet that every figure is drawn on, and what panels share: lines, controls, chance."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from modiva.measure import Interval
from modiva.report.plots.style import CONTROL, INK, MUTED, NOTE_SIZE, PAPER, TITLE_SIZE
from modiva.report.words import count, odds, percent, percent_range, plural, target_name

T = TypeVar("T")
REPETITIONS = "repetitions R"
CONTROLS = "controls, never planted"
INNER = "inner"  # the id of a figure's paper begins so, see `Sheet.finish`
ACROSS = 4  # panels side by side
PANELS = 8  # of a figure; a grid may have hundreds
LINES = 4  # of a panel: with more, intervals hide each other
# Inches by panels side by side: one panel fills a column of a paper, four a page.
WIDTHS = {1: 3.4, 2: 4.6, 3: 6.2, 4: 7.2}
_EDGE = 0.1  # inches of paper around
_LINE = 1.35 * NOTE_SIZE / 72  # inches from one line of a note to the next
_LETTER = 0.53  # width of a letter in shares of its size, on average


class Counted(Protocol):
    """A group or an interval, with the sample size of a point."""

    @property
    def n(self) -> int:
        """Secrets."""

    @property
    def n_models(self) -> int:
        """Independently trained models."""


@dataclass(frozen=True)
class Line:
    """One series of a panel: where its points stand, what x is called there, and their measures."""

    label: str
    xs: Sequence[float]
    names: Sequence[str]
    measures: Sequence[Interval]
    style: dict[str, Any]

    def spoken(self, panel: str) -> str:
        """Return the series in words, for those who do not see the figure."""
        values = [
            f"{percent(own.mean)}{_range(own)} at {name}"
            for name, own in zip(self.names, self.measures, strict=True)
        ]
        return f"{panel}, {self.label}: {', '.join(values)}."


class Sheet:
    """A figure that is read without a text around it: title, subject, panels, legend and a note.

    Args:
        title: what is shown.
        number: panels.
        columns: panels side by side; a row never holds more than four.
        height: of one panel, in inches.
        stacked: relative heights of the axes in a panel, from the top.
        across: most panels side by side; 1 is for a phone.
        widths: of the figure in inches, by panels side by side.
    """

    def __init__(
        self,
        title: str,
        number: int,
        columns: int,
        *,
        height: float = 1.9,
        stacked: Sequence[float] = (1,),
        across: int = ACROSS,
        widths: Mapping[int, float] = WIDTHS,
    ) -> None:
        columns = max(1, min(columns if columns <= 4 else 3, number, across))
        rows = -(-number // columns)
        self.title = title
        self._height = rows * height
        # Room at the sides: letters are a little wider at one resolution than at another.
        self._layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.05)
        size = (widths[columns] if across > 1 else 3.6, self._height)
        self.figure = Figure(figsize=size, layout=self._layout)
        levels = len(stacked)
        axes = self.figure.subplots(
            rows * levels, columns, squeeze=False, height_ratios=list(stacked) * rows
        )
        self.panels: list[list[Axes]] = []
        for place in range(rows * columns):
            row, column = divmod(place, columns)
            panel = [axes[row * levels + level, column] for level in range(levels)]
            if place < number:
                self.panels.append(panel)
            for axis in panel:
                axis.set_visible(place < number)
        self._keys: dict[str, Any] = {}
        self.unclear = 0.0  # the highest end of an interval that `lines` left out

    def inches(self, place: int = 0) -> float:
        """Return about how wide a panel is, without the labels of its y axis."""
        columns = self.panels[place][0].get_gridspec().ncols  # type: ignore[union-attr]
        return (self.figure.get_figwidth() - 0.75) / columns - 0.15

    def key(self, label: str, **look: Any) -> None:
        """Name a line, or a `patch` of a color, in the legend; each label once."""
        patch = look.pop("patch", None)
        handle = Patch(color=patch, **look) if patch else Line2D([], [], **look)
        self._keys.setdefault(label, handle)

    def lines(
        self,
        axis: Axes,
        lines: Sequence[Line],
        chance: float | Sequence[float],
        *,
        panel: str,
        step: float = 0.045,
        gap: tuple[float, float] | None = None,
        named: bool = True,
    ) -> list[str]:
        """Draw series with their intervals, and return them in words.

        A point that guessing explains (the interval reaches down to `chance`) is hollow and has no
        bar: at zero, bars of many series would hide each other.

        Args:
            axis: where they are drawn.
            lines: the series; those without any point above chance stand faintly on one place.
            chance: the rate of guessing, of all points or of each.
            panel: how the words name the panel.
            step: on x from one series to the next, so that bars do not overlap.
            gap: the two ends of a break of the x axis; lines cross it faintly.
            named: whether the legend names the series.
        """
        found = [line for line in lines if line.measures]
        clear = [[above(own, by) for own, by in _beside(line.measures, chance)] for line in found]
        apart = [place for place, marks in enumerate(clear) if any(marks)]
        for place, (line, marks) in enumerate(zip(found, clear, strict=True)):
            shift = dodge(apart.index(place), len(apart), step) if place in apart else 0.0
            xs = np.asarray(line.xs, dtype=float) + shift
            self._line(axis, line, xs, np.array(marks), gap)
            if named:
                self.key(line.label, **_marker(line.style), linestyle=line.style["linestyle"])
        return [line.spoken(panel) for line in found]

    def _line(
        self,
        axis: Axes,
        line: Line,
        xs: Any,
        clear: Any,
        gap: tuple[float, float] | None,
    ) -> None:
        means = np.array([own.mean for own in line.measures])
        lower, upper = np.array([(own.lower, own.upper) for own in line.measures]).T
        color, dashes = line.style["color"], line.style["linestyle"]
        strong = {"linewidth": 1.4, "linestyle": dashes} if clear.any() else {"linewidth": 0.8}
        parts = [np.ones(len(xs), dtype=bool)]
        if gap is not None:
            middle = sum(gap) / 2
            parts = [xs < middle, xs > middle]
            if all(part.any() for part in parts):
                ends = [parts[0].nonzero()[0][-1], parts[1].nonzero()[0][0]]
                axis.plot(xs[ends], means[ends], color=color, linewidth=0.7, alpha=0.35)
        for part in parts:
            axis.plot(xs[part], means[part], color=color, clip_on=False, zorder=2.5, **strong)
        look = {**_marker(line.style), "linestyle": "none", "clip_on": False}
        if clear.any():
            axis.errorbar(
                xs[clear],
                means[clear],
                yerr=np.vstack([means - lower, upper - means]).clip(min=0)[:, clear],
                elinewidth=1.0,
                zorder=3.5,
                **look,
            )
        if not clear.all():
            hollow = {**look, "markerfacecolor": PAPER, "markeredgecolor": color, "markersize": 3.2}
            axis.plot(xs[~clear], means[~clear], zorder=3, **hollow)
            self.unclear = max([self.unclear, *upper[~clear & ~np.isnan(upper)]])

    def controls(self, axis: Axes, xs: Sequence[float], measures: Sequence[Interval]) -> None:
        """Draw the interval of never-planted secrets once, as a band through the panel.

        Call it when the limits of x are set.
        """
        known = [(x, own) for x, own in zip(xs, measures, strict=True) if own.known]
        if not known:
            return
        left, right = axis.get_xlim()
        places = [left, *(x for x, _ in known), right]
        bands = [known[0][1], *(own for _, own in known), known[-1][1]]
        lower, upper = ([getattr(own, end) for own in bands] for end in ("lower", "upper"))
        axis.fill_between(places, lower, upper, color=CONTROL, alpha=0.28, linewidth=0, zorder=1.5)
        self.key(CONTROLS, patch=CONTROL, alpha=0.28, linewidth=0)

    def chance(self, axis: Axes, rows: pd.DataFrame) -> float:
        """Draw what guessing reaches and return it: of several patterns, with the fewest secrets.

        0 where the number of secrets is unknown.
        """
        sizes = rows["space_size"].dropna().unique()
        if not len(sizes):
            return 0.0
        label = f"guessing ({odds(1 / min(sizes))}{' or less' if len(sizes) > 1 else ''})"
        look: Any = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 2))}
        axis.axhline(1 / min(sizes), zorder=2, **look)
        self.key(label, **look)
        return float(1 / min(sizes))

    def finish(self, about: str, note: str) -> Figure:
        """Write title and subject above the panels, legend and note below; return the figure."""
        width = self.figure.get_figwidth()
        title = _wrap(self.title, width, 1.15 * TITLE_SIZE)  # bold letters are wider
        subject, foot = _wrap(about, width, NOTE_SIZE), _wrap(note, width, NOTE_SIZE)
        labels, columns = self._legend(width)
        named = _EDGE + 0.03 + len(title) * 1.35 * TITLE_SIZE / 72
        top = named + len(subject) * _LINE + 0.04
        told = _EDGE + len(foot) * _LINE
        bottom = told + 0.17 * -(-len(labels) // columns) + 0.08
        high = self._height + top + bottom
        self.figure.set_figheight(high)
        self._layout.set(rect=(0, bottom / high, 1, 1 - (top + bottom) / high))
        # The page has title and note as text, and shows what stands between these two heights.
        self.figure.patch.set_gid(f"{INNER}-{72 * named:.0f}-{72 * (high - told):.0f}")
        texts = ((1 - _EDGE / high, title), (1 - named / high, subject), (_EDGE / high, foot))
        for height, lines in texts:
            look: Any = {"fontsize": NOTE_SIZE, "color": MUTED}
            if lines is title:
                look = {"fontsize": TITLE_SIZE, "fontweight": "bold"}
            side = "bottom" if lines is foot else "top"
            words = "\n".join(lines)
            self.figure.text(_EDGE / width, height, words, va=side, linespacing=1.3, **look)
        if labels:
            # matplotlib fills column by column: deal the labels so that they read row by row.
            order = [label for column in range(columns) for label in labels[column::columns]]
            self.figure.legend(
                [self._keys[label] for label in order],
                order,
                loc="lower left",
                bbox_to_anchor=(0, told / high),
                ncols=columns,
                handlelength=2.2,
                columnspacing=1.4,
                borderaxespad=0.4,
            )
        return self.figure

    def _legend(self, width: float) -> tuple[list[str], int]:
        """Return the labels, series first, and in how many columns they fit the width."""
        labels = sorted(self._keys, key=lambda label: label.startswith(("guessing", "controls")))
        for columns in range(len(labels), 1, -1):
            longest = [max(map(len, labels[column::columns])) for column in range(columns)]
            if sum(0.58 + 0.057 * letters for letters in longest) < width - 0.1:
                return labels, columns
        return labels, 1

    def unclear_note(self) -> str:
        """Return what a hollow point means, with the highest end of an interval left out."""
        if not self.unclear:
            return ""
        return (
            " Hollow points without a bar are not distinguishable from guessing; their intervals "
            f"end at {percent(self.unclear)} or below."
        )


def _wrap(text: str, width: float, size: float) -> list[str]:
    """Return the lines of a text of `size` points on a figure of `width` inches."""
    return textwrap.wrap(text, int((width - 2 * _EDGE) * 72 / (_LETTER * size)))


def above(measure: Interval, chance: float) -> bool:
    """Return whether a rate is above guessing: its interval, or itself where there is none."""
    return bool((measure.lower if measure.known else measure.mean) > chance)


def subject(frame: pd.DataFrame, *parts: str, groups: Sequence[Counted] = ()) -> str:
    """Return what a figure is about: corpus, patterns, the given parts, and n of a point."""
    patterns = list(dict.fromkeys(frame["pattern"]))
    words = [_named("corpus", "corpora", list(dict.fromkeys(frame["corpus"])))]
    words += [_named("pattern", "patterns", patterns), *parts]
    return " · ".join(filter(None, [*words, numbers_line(groups) if groups else ""]))


def _named(one: str, many: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{one} {names[0]}"
    return f"{many} {', '.join(names)}" if len(names) <= 3 else f"{len(names)} {many}"


def numbers_line(groups: Sequence[Counted]) -> str:
    """Return how much a point rests on, say "n = 24 secrets in 12 models a point"."""
    models = span([group.n_models for group in groups])
    noun = "model" if models == "1" else "models"
    return f"n\u00a0=\u00a0{span([group.n for group in groups])} secrets in {models} {noun} a point"


def facets(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the (corpus, target) pairs that the rows hold, in order of appearance."""
    pairs = frame[["corpus", "target"]].drop_duplicates().itertuples(index=False, name=None)
    corpora = list(dict.fromkeys(frame["corpus"]))
    return sorted(pairs, key=lambda pair: corpora.index(pair[0]))


def facet_title(frame: pd.DataFrame, cell: tuple[str, ...]) -> str:
    """Return a panel's title: the target, the corpus where there are several, and any defense.

    Args:
        frame: rows of all panels.
        cell: corpus and target, and the defense where panels are told apart by it.
    """
    corpus, target, *defenses = cell
    name = target_name(target)
    name = f"{corpus} · {name}" if frame["corpus"].nunique() > 1 else name
    return ", ".join([name, *(defense for defense in defenses if defense != "none")])


def limited(panels: Sequence[T], most: int = PANELS) -> tuple[list[T], str]:
    """Return the first panels and a sentence for the note on what was left out, if anything."""
    if len(panels) <= most:
        return list(panels), ""
    return list(panels[:most]), f" The first {most} of {len(panels)} panels; all are in the table."


def some(values: Sequence[T], most: int = LINES) -> list[T]:
    """Return at most so many values, evenly chosen, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(turn * (len(values) - 1) / (most - 1))] for turn in range(most)]


def dodge(number: int, of: int, width: float, limit: float = 0.3) -> float:
    """Return the sideways step of one series among several, so that intervals do not overlap.

    Args:
        number: which series, from 0.
        of: how many.
        width: step from one to the next.
        limit: what all steps together may take.
    """
    return (number - (of - 1) / 2) * min(width, limit / of)


def models_note(groups: Sequence[Counted]) -> str:
    """Return what a bar is, as a sentence."""
    if any(group.n_models > 1 for group in groups):
        return "Bars are 95 % intervals over independently trained models."
    return f"No intervals: {plural(1, 'model')} a point."


def _marker(style: Mapping[str, Any]) -> dict[str, Any]:
    look = {"color": style["color"], "marker": style["marker"], "markeredgecolor": PAPER}
    return {**look, "markeredgewidth": 0.6}


def _beside(
    measures: Sequence[Interval], chance: float | Sequence[float]
) -> list[tuple[Interval, float]]:
    several = chance if isinstance(chance, Sequence) else [chance] * len(measures)
    return list(zip(measures, several, strict=True))


def _range(measure: Interval) -> str:
    return f" ({percent_range(measure)})" if measure.known else ""


def span(numbers: Sequence[int]) -> str:
    """Return the least and the greatest of some numbers, say "18–20"."""
    low, high = min(numbers), max(numbers)
    return count(low) if low == high else f"{count(low)}–{count(high)}"
