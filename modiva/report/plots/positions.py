"""Figure: which slots of a secret come back, position by position."""

from typing import Any

import numpy as np
import pandas as pd

from modiva.measure import bounded_interval, models
from modiva.report.plots import panels
from modiva.report.plots.style import Drawing, control_look, look
from modiva.report.words import least_defended, strongest_attack


def by_position(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw the rate of right words at each position, one line a number of repetitions."""
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
    figure, axes = panels.grid(len(cells), columns, across=across)
    spoken = []
    for cell, (axis,) in zip(cells, axes, strict=True):
        part = _cell(frame, cell)
        title = panels.facet_title(frame, cell[:2])
        title += f", {cell[2]} words" if frame["length"].nunique() > 1 else ""
        axis.set_title(title)
        places = np.arange(1, cell[2] + 1)
        groups = []
        for turn, number in enumerate(repetitions):
            rows = part[(part["planted"] == 1) & (part["repetitions"] == number)]
            if rows.empty:
                continue
            measures = _measures(rows)
            groups.append({"n": len(rows), "n_models": len(np.unique(models(rows)))})
            shift = panels.dodge(turn, len(repetitions) + 1, 0.07)
            panels.series(axis, places + shift, measures, f"R = {number}", look(turn))
            spoken.append(
                panels.spoken(f"{title}, R = {number}", [f"position {p}" for p in places], measures)
            )
        controls = part[part["planted"] == 0]
        if len(controls):
            shift = panels.dodge(len(repetitions), len(repetitions) + 1, 0.07)
            label = "controls (never planted)"
            panels.series(axis, places + shift, _measures(controls), label, control_look())
        _chance(axis, part, places)
        panels.rate_axis(axis, "right word")
        axis.set_xticks(places)
        axis.set_xlim(0.5, cell[2] + 0.5)
        axis.set_xlabel("position in the secret")
        if groups:
            panels.subtitle(axis, panels.numbers_line(groups))
    panels.legend(figure, [axis for (axis,) in axes])
    caption = (
        f"Rate of right words at each position of the secret ({attack} attack, {condition}), by "
        "repetitions R, with 95 % intervals over models. Guessing reaches one in the number of "
        f"options of the slot.{left_out}"
    )
    title = "Accuracy by position"
    return Drawing("position_accuracy", title, figure, caption, f"{title}. {' '.join(spoken)}")


def _cell(frame: pd.DataFrame, cell: tuple[str, str, int]) -> pd.DataFrame:
    same = (frame["corpus"] == cell[0]) & (frame["target"] == cell[1])
    return frame[same & (frame["length"] == cell[2])]


def _measures(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one measure a position."""
    length = int(rows["length"].iloc[0])
    # A reader that took "0011" for a number lost its zeros.
    texts = [str(hits).split(".")[0].zfill(length) for hits in rows["position_hits"]]
    hits = np.array([[mark == "1" for mark in text] for text in texts], dtype=float)  # (n, length)
    clusters = models(rows)
    return [vars(bounded_interval(column, clusters)) for column in hits.T]


def _chance(axis: panels.Axes, part: pd.DataFrame, places: np.ndarray[Any, Any]) -> None:
    """Draw what guessing reaches at each position, averaged over the patterns of the panel."""
    if "slot_sizes" not in part:
        return
    sizes = [[1 / int(size) for size in str(text).split()] for text in part["slot_sizes"].unique()]
    chance = np.mean([size for size in sizes if len(size) == len(places)], axis=0)
    axis.step(
        places,
        chance,
        where="mid",
        color="#1b1f24",
        linewidth=0.8,
        linestyle=(0, (1, 2)),
        label="chance",
    )
