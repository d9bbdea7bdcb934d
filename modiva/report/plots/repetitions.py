"""Figure: how much comes back out, against how often it was in the training data."""

import pandas as pd

from modiva.measure import summarise
from modiva.report.answer import exact
from modiva.report.plots import axes, panels
from modiva.report.plots.style import Drawing, look
from modiva.report.words import count, least_defended, strongest_attack


def by_defense(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw one line per defense in one panel per corpus and target, all patterns together."""
    attack = strongest_attack(frame)
    return _draw(
        frame[frame["attack"] == attack],
        "condition",
        name="reconstruction_by_repetitions",
        title="Reconstruction by repetitions and defense",
        about=(f"attack {attack}",),
        across=across,
    )


def by_pattern(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw one line per pattern where there are several, for the least defended targets."""
    if frame["pattern"].nunique() < 2:
        return None
    attack, condition = strongest_attack(frame), least_defended(frame)
    return _draw(
        frame[(frame["attack"] == attack) & (frame["condition"] == condition)],
        "pattern",
        name="reconstruction_by_pattern",
        title="Reconstruction by repetitions and pattern",
        about=(f"attack {attack}", condition),
        across=across,
    )


def _draw(
    frame: pd.DataFrame, hue: str, *, name: str, title: str, about: tuple[str, ...], across: int
) -> Drawing | None:
    if not (frame["planted"] == 1).any():
        return None
    pairs, left_out = panels.limited(panels.facets(frame))
    hues = list(frame[hue].cat.categories if hue == "condition" else dict.fromkeys(frame[hue]))
    hues = [str(line) for line in hues if (frame[hue] == line).any()]
    if len(hues) > panels.LINES:
        left_out += f" {panels.LINES} of {len(hues)} lines, evenly chosen; all are in the table."
        hues = panels.some(hues)
    places = axes.log_places(sorted(frame["repetitions"].unique()))
    sheet = panels.Sheet(title, len(pairs), frame["target"].nunique(), across=across)
    spoken, shown = [], []
    for pair, (axis,) in zip(pairs, sheet.panels, strict=True):
        part = frame[(frame["corpus"] == pair[0]) & (frame["target"] == pair[1])]
        planted = summarise(part[part["planted"] == 1].astype({hue: str}), [hue, "repetitions"])
        planted = [group for group in planted if group.exact and group[hue] in hues]
        shown += planted
        panel = panels.facet_title(frame, pair)
        axes.name_panel(axis, panel)
        axes.rate_axis(axis, "reconstructed exactly")
        gap = axes.place_axis(axis, places, sheet.inches(), panels.REPETITIONS)
        lines = []
        for turn, line in enumerate(hues):
            own = [group for group in planted if group[hue] == line]
            xs = [places[group["repetitions"]] for group in own]
            names = [f"R = {count(group['repetitions'])}" for group in own]
            rates = [exact(group) for group in own]
            lines.append(panels.Line(line, xs, names, rates, look(turn)))
        chance = sheet.chance(axis, part)
        spoken += sheet.lines(axis, lines, chance, panel=panel, gap=gap)
        controls = summarise(part[part["planted"] == 0], ["repetitions"])
        xs = [places[group["repetitions"]] for group in controls]
        sheet.controls(axis, xs, [exact(group) for group in controls])
    note = (
        "Secrets reconstructed in full, against how often each was planted (logarithmic). "
        f"{panels.models_note(shown)}{sheet.unclear_note()} Controls were drawn with the planted "
        "secrets and scored against the same reconstructions: the band is their 95 % interval, all "
        f"lines of a panel together.{left_out}"
    )
    figure = sheet.finish(panels.subject(frame, *about, groups=shown), note)
    return Drawing(name, title, figure, note, f"{title}. {' '.join(spoken)}")
