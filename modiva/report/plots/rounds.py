"""Figure: accuracy by round of federated training, beside one trainer with all sentences."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from modiva.handling import CENTRAL
from modiva.measure import intervals
from modiva.report.plots import axes, panels
from modiva.report.plots.style import INK, Drawing, look
from modiva.report.words import percent, target_name

_PANEL = ["corpus", "target", "partition"]
_LINES = 6  # of a panel: all colors
_SERIES: Mapping[str, str] = {
    "training": "{}",
    "selection": "{} selection",
    "per_round": "{:g} a round",
    "periods": "{:g} periods",
    "noise_multiplier": "user noise {:g}",
    "target_epsilon": "user ε = {:g}",
}


def by_round(models: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw the accuracy on the validation split after each round, a panel per partition.

    One line per way of training by clients; one trainer is a broken line across.

    Args:
        models: one row per trained model.
        across: most panels side by side.
    """
    if "accuracy_by_round" not in models or "partition" not in models:
        return None
    clients = models[models["accuracy_by_round"].notna() & models["partition"].notna()]
    if clients.empty:
        return None
    varied = [name for name in _SERIES if clients[name].nunique(dropna=False) > 1] or ["training"]
    kinds = list(clients[_PANEL].drop_duplicates().itertuples(index=False, name=None))
    cells, left_out = panels.limited(kinds)
    title = "Accuracy by round of federated training"
    columns = max(2, clients["partition"].nunique()) if len(cells) > 1 else 1
    sheet = panels.Sheet(title, len(cells), columns, height=2.1, across=across)
    spoken: list[str] = []
    lowest = first = 1.0
    alone_note = ""
    number: list[int] = []
    for cell, (axis,) in zip(cells, sheet.panels, strict=True):
        part = clients[(clients[_PANEL] == list(cell)).all(axis=1)]
        corpus, target, partition = cell
        name = f"{target_name(target)}, {partition}"
        name = f"{corpus} · {name}" if clients["corpus"].nunique() > 1 else name
        axes.name_panel(axis, name)
        axes.rate_axis(axis, "validation accuracy")
        axis.set_xlabel("round")
        groups = list(part.groupby(varied, sort=False, dropna=False))
        for turn, (key, own) in enumerate(groups[:_LINES]):
            label = _label(dict(zip(varied, key, strict=True)))
            curves = np.array([row.split() for row in own["accuracy_by_round"]], dtype=float)
            each = np.arange(len(own))
            ends = [intervals.student_interval(at, each) for at in curves.T]  # one per round
            rounds = np.arange(1, curves.shape[1] + 1)
            third = max(1, round(len(rounds) / 3))
            axis.set_xticks([1, *range(third, len(rounds) + 1, third)])
            color, dashes = look(turn)["color"], look(turn)["linestyle"]
            axis.plot(rounds, curves.mean(0), color=color, linestyle=dashes, linewidth=1.3)
            if len(own) > 1:
                low, high = ([getattr(at, end) for at in ends] for end in ("lower", "upper"))
                axis.fill_between(rounds, low, high, color=color, alpha=0.13, linewidth=0)
            sheet.key(label, color=color, linestyle=dashes)
            spoken.append(f"{name}, {label}: {_course(curves.mean(0))}.")
            first = min(first, float(curves[:, 0].mean()))
            lowest = min(lowest, float(curves[:, 2:].mean(0).min(initial=1.0)))
            number.append(len(own))
        same = (models["corpus"] == corpus) & (models["target"] == target)
        alone = models[same & (models["training"] == CENTRAL) & (models["noise_multiplier"] == 0)]
        if len(alone):
            accuracy = float(alone["valid_accuracy"].mean())
            style: Any = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 2))}
            axis.axhline(accuracy, **style)
            sheet.key("one trainer", **style)
            alone_note = " One trainer has all sentences."
            spoken.append(f"{name}, one trainer: {percent(accuracy)}.")
    floor = float(np.floor(10 * lowest) / 10)
    cut = " The first rounds lie below the axis." if first < floor else ""
    for (axis,) in sheet.panels:
        axis.set_ylim(max(0.0, floor - 0.02), 1.01)
        step = 0.1 if floor > 0.45 else 0.2
        axis.set_yticks(np.arange(1.0, max(0.0, floor - 0.02), -step))
    note = (
        "Accuracy on the validation split after each round. Bands are 95 % intervals of the mean "
        f"over independently trained models.{alone_note}{cut}{left_out}"
    )
    corpora = list(dict.fromkeys(clients["corpus"]))
    about = f"{', '.join(corpora)} · {panels.span(number)} models a line"
    figure = sheet.finish(about, note)
    return Drawing("accuracy_by_round", title, figure, note, f"{title}. {' '.join(spoken)}")


def _label(values: Mapping[str, Any]) -> str:
    """Return what tells a line from the others in words."""
    parts = []
    for name, value in values.items():
        if value == value and value is not None:  # not missing
            parts.append("static" if name == "periods" and value == 1 else
                         _SERIES[name].format(value))  # fmt: skip
    return ", ".join(parts)


def _course(means: Any) -> str:
    """Return three points of a course in words: after a third, two thirds, and all rounds."""
    rounds = len(means)
    places = sorted({max(1, rounds // 3), max(1, 2 * rounds // 3), rounds})
    return ", ".join(f"{percent(float(means[at - 1]))} after {at} rounds" for at in places)
