"""Figure: which slots of a secret come back, position by position."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from modiva.measure import Interval, intervals
from modiva.report.plots import axes, panels
from modiva.report.plots.style import INK, Drawing, look
from modiva.report.words import count, least_defended, strongest_attack


def by_position(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw the rate of right words at each position, one line per number of repetitions."""
    if "position_hits" not in frame:
        return None
    attack, condition = strongest_attack(frame), least_defended(frame)
    chosen = (frame["attack"] == attack) & (frame["condition"] == condition)
    frame = frame[chosen & frame["position_hits"].notna() & (frame["length"] > 1)]
    if not (frame["planted"] == 1).any():
        return None
    cells = [
        (*pair, length)
        for pair in panels.facets(frame)
        for length in sorted(frame["length"].unique())
        if len(_cell(frame, (*pair, length)))
    ]
    cells, left_out = panels.limited(cells)
    repetitions = panels.some(sorted(frame.loc[frame["planted"] == 1, "repetitions"].unique()))
    columns = len(cells) if len(cells) <= 4 else frame["target"].nunique()
    title = "Words right by position in the secret"
    sheet = panels.Sheet(title, len(cells), columns, across=across)
    spoken, shown = [], []
    for cell, (axis,) in zip(cells, sheet.panels, strict=True):
        part = _cell(frame, cell)
        name = panels.facet_title(frame, cell[:2])
        name += f", {cell[2]} words" if frame["length"].nunique() > 1 else ""
        axes.name_panel(axis, name)
        axes.rate_axis(axis, "right word")
        places = [float(place) for place in range(1, cell[2] + 1)]
        axis.set_xticks(places, [f"{place:g}" for place in places])
        axis.set_xlim(0.5, cell[2] + 0.5)
        axis.set_xlabel("position in the secret")
        lines = []
        names = [f"position {place:g}" for place in places]
        for turn, number in enumerate(repetitions):
            rows = part[(part["planted"] == 1) & (part["repetitions"] == number)]
            if len(rows):
                rates = _measures(rows)
                shown.append(rates[0])
                label = f"R = {count(number)}"
                lines.append(panels.Line(label, places, names, rates, look(turn)))
        chance = _chance(sheet, axis, part, places)
        spoken += sheet.lines(axis, lines, chance, panel=name, step=0.09)
        controls = part[part["planted"] == 0]
        if len(controls):
            sheet.controls(axis, places, _measures(controls))
    note = (
        "Rate of right words at each position, by repetitions R in the training data. "
        f"{panels.models_note(shown)}{sheet.unclear_note()} The band is the 95 % interval of "
        f"controls. Guessing reaches one in the number of options of the slot.{left_out}"
    )
    about = panels.subject(frame, f"attack {attack}", condition, groups=shown)
    figure = sheet.finish(about, note)
    return Drawing("position_accuracy", title, figure, note, f"{title}. {' '.join(spoken)}")


def _cell(frame: pd.DataFrame, cell: tuple[str, str, int]) -> pd.DataFrame:
    same = (frame["corpus"] == cell[0]) & (frame["target"] == cell[1])
    return frame[same & (frame["length"] == cell[2])]


def _measures(rows: pd.DataFrame) -> list[Interval]:
    """Return one measure per position."""
    length = int(rows["length"].iloc[0])
    # A reader that took "0011" for a number lost its zeros.
    texts = [str(hits).split(".")[0].zfill(length) for hits in rows["position_hits"]]
    hits = np.array([[mark == "1" for mark in text] for text in texts], dtype=float)  # (n, length)
    clusters = intervals.models(rows)
    return [intervals.bounded_interval(column, clusters) for column in hits.T]


def _chance(
    sheet: panels.Sheet, axis: Axes, part: pd.DataFrame, places: list[float]
) -> list[float]:
    """Draw what guessing reaches at each position, averaged over the patterns, and return it."""
    if "slot_sizes" not in part:
        return [0.0] * len(places)
    sizes = [[1 / int(size) for size in str(text).split()] for text in part["slot_sizes"].unique()]
    chance = np.mean([size for size in sizes if len(size) == len(places)], axis=0)
    style: Any = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 2))}
    axis.step(places, chance, where="mid", zorder=2, **style)
    sheet.key("guessing", **style)
    return [float(rate) for rate in chance]
