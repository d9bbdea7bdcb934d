"""Figure: what text protection stops, by adversary, and what it costs the classifier."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from modiva.measure import Group, Interval, summarise
from modiva.report.answer import exact
from modiva.report.plots import axes, panels
from modiva.report.plots.style import INK, Drawing, look
from modiva.report.words import count, strongest_attack, target_name

_KEYS = ["corpus", "target", "mechanism"]
_PANELS = 4
NONE = "none"


def by_text_epsilon(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw decoding, extraction and accuracy over the epsilon that text protection was set to.

    One panel per mechanism, at the largest number of repetitions: above the two adversaries, below
    the accuracy. Without DP-SGD and other defenses; "none" is training on the sentences as they
    are.
    """
    frame = _protected_alone(frame)
    if frame.empty:
        return None
    attack = strongest_attack(frame)
    frame = frame[frame["attack"] == attack]
    names = frame["privatize"].str.partition(":")[0]
    frame = frame.assign(mechanism=names, level=(1 / frame["epsilon_claimed"]).fillna(0.0))
    kinds = frame.loc[names != NONE, _KEYS].drop_duplicates().itertuples(index=False, name=None)
    cells, left_out = panels.limited(list(kinds), _PANELS)
    title = "Text protection: who reads the data, and who has the model"
    sheet = panels.Sheet(
        title, len(cells), len(cells), stacked=(1, 0.55), height=2.7, across=across
    )
    spoken: list[str] = []
    shown: list[Group] = []
    for (corpus, target, mechanism), (rates, accuracy) in zip(cells, sheet.panels, strict=True):
        same = (frame["corpus"] == corpus) & (frame["target"] == target)
        part = frame[same & frame["mechanism"].isin([NONE, mechanism])]
        groups = summarise(part, ["level"])
        shown += groups
        panel, chance = f"{mechanism} · {target_name(target)}", sheet.chance(rates, part)
        axes.name_panel(rates, panel)
        spoken += _panel(sheet, rates, accuracy, groups, attack, panel, chance)
    repetitions = count(frame["repetitions"].max())
    note = (
        "Secrets named in full, by those who read all rewritten copies and by those who have the "
        f"model, and the model's accuracy on clean sentences; less ε is more noise. "
        f"{panels.models_note(shown)}{sheet.unclear_note()} ε is per word and unit of distance, of "
        f"adept per sentence, as it was set: it does not hold for every mechanism.{left_out}"
    )
    about = panels.subject(frame, f"R = {repetitions}", groups=shown)
    return Drawing(
        "protection_by_text_epsilon", title, sheet.finish(about, note), note,
        f"{title}. {' '.join(spoken)}",
    )  # fmt: skip


def _protected_alone(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows of planted secrets, at most repetitions, without any other protection.

    None of them, where no text protection was measured.
    """
    if "privatize" not in frame or "decoded" not in frame:
        return frame[:0]
    frame = frame[(frame["noise_multiplier"] == 0) & (frame["planted"] == 1)]
    alone = (frame["defense"] == frame["privatize"]) | (frame["defense"] == NONE)
    frame = frame[alone & (frame["repetitions"] == frame["repetitions"].max())]
    return frame if (frame["privatize"] != NONE).any() else frame[:0]


def _panel(
    sheet: panels.Sheet,
    rates: Axes,
    accuracy: Axes,
    groups: list[Group],
    attack: str,
    panel: str,
    chance: float,
) -> list[str]:
    """Draw the two adversaries, and below them the accuracy; return what the lines say."""
    levels = sorted({group["level"] for group in groups})
    places = axes.log_places(levels, gap=0.15)
    if len(axes.readable(places, sheet.inches())) < len(places):  # evenly: each has its tick
        places = {level: float(place) for place, level in enumerate(levels)}
    gap = None
    for axis, label in ((rates, "secret named"), (accuracy, "accuracy")):
        axes.rate_axis(axis, label)
        name = "text ε as set" if axis is accuracy else ""
        gap = axes.place_axis(axis, places, sheet.inches(), name, _tick)
    rates.tick_params(axis="x", labelbottom=False)
    read = [(group, group.decoded) for group in groups if group.decoded]
    owner = [(group, exact(group)) for group in groups]
    lines = [
        _line("reader of the rewritten data", places, read, look(1)),
        _line(f"owner of the model ({attack})", places, owner, look(0)),
    ]
    step = 0.03 * (max(places.values()) - min(places.values()))
    spoken = sheet.lines(rates, lines, chance, panel=panel, step=step, gap=gap)
    told = [(group, group.test_accuracy) for group in groups if group.test_accuracy]
    line = _line("test accuracy", places, told, {"color": INK, "marker": "o", "linestyle": "-"})
    return spoken + sheet.lines(accuracy, [line], -1.0, panel=panel, gap=gap, named=False)


def _line(
    label: str,
    places: dict[float, float],
    points: list[tuple[Group, Interval]],
    style: dict[str, Any],
) -> panels.Line:
    return panels.Line(
        label,
        [places[group["level"]] for group, _ in points],
        [f"ε = {_tick(group['level'])}" for group, _ in points],
        [measure for _, measure in points],
        style,
    )


def _tick(level: float) -> str:
    return f"{1 / level:.4g}" if level else NONE
