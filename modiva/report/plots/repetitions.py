"""Figure: how much comes back out, against how often it was in the training data."""

import pandas as pd

from modiva.measure import summarise
from modiva.report.plots import panels
from modiva.report.plots.style import Drawing, control_look, look
from modiva.report.words import least_defended, strongest_attack


def by_defense(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw one line a defense in one panel a corpus and target, all patterns together."""
    attack = strongest_attack(frame)
    return _draw(
        frame[frame["attack"] == attack],
        "condition",
        name="reconstruction_by_repetitions",
        title="Reconstruction accuracy against repetitions",
        what=f"Secrets that the {attack} attack reconstructed in full, by defense",
        across=across,
    )


def by_pattern(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw one line a pattern where there are several, for the least defended targets."""
    if frame["pattern"].nunique() < 2:
        return None
    attack, condition = strongest_attack(frame), least_defended(frame)
    return _draw(
        frame[(frame["attack"] == attack) & (frame["condition"] == condition)],
        "pattern",
        name="reconstruction_by_pattern",
        title="Reconstruction accuracy by pattern",
        what=f"Secrets that the {attack} attack reconstructed in full, by pattern ({condition})",
        across=across,
    )


def _draw(
    frame: pd.DataFrame, hue: str, *, name: str, title: str, what: str, across: int
) -> Drawing | None:
    if not (frame["planted"] == 1).any():
        return None
    pairs, left_out = panels.limited(panels.facets(frame))
    lines = list(frame[hue].cat.categories if hue == "condition" else dict.fromkeys(frame[hue]))
    lines = [line for line in lines if (frame[hue] == line).any()]
    if len(lines) > panels.LINES:
        left_out += f" {panels.LINES} of {len(lines)} lines, evenly chosen."
        lines = panels.some(lines)
    names = {str(line) for line in lines}
    places = panels.repetition_places(sorted(frame["repetitions"].unique()))
    figure, axes = panels.grid(len(pairs), frame["target"].nunique(), across=across)
    spoken = []
    for pair, (axis,) in zip(pairs, axes, strict=True):
        part = frame[(frame["corpus"] == pair[0]) & (frame["target"] == pair[1])]
        planted = summarise(part[part["planted"] == 1].astype({hue: str}), [hue, "repetitions"])
        planted = [group for group in planted if group["exact"] and group[hue] in names]
        axis.set_title(panels.facet_title(frame, pair))
        for turn, line in enumerate(lines):
            groups = [group for group in planted if group[hue] == str(line)]
            if not groups:
                continue
            xs = [
                places[group["repetitions"]] + panels.dodge(turn, len(lines) + 1, 0.045)
                for group in groups
            ]
            measures = [group["exact"] for group in groups]
            panels.series(axis, xs, measures, str(line), look(turn))
            spoken.append(
                panels.spoken(
                    f"{panels.facet_title(frame, pair)}, {line}",
                    [f"R = {group['repetitions']}" for group in groups],
                    measures,
                )
            )
        controls = [
            group
            for group in summarise(part[part["planted"] == 0], ["repetitions"])
            if group["exact"]
        ]
        if controls:
            xs = [
                places[group["repetitions"]] + panels.dodge(len(lines), len(lines) + 1, 0.045)
                for group in controls
            ]
            measures = [group["exact"] for group in controls]
            panels.series(axis, xs, measures, "controls (never planted)", control_look())
        panels.chance_line(axis, part)
        panels.rate_axis(axis, f"reconstructed exactly\nby {frame['attack'].iloc[0]}")
        panels.repetition_axis(axis, places)
        if planted:
            panels.subtitle(axis, panels.numbers_line(planted))
    panels.legend(figure, [axis for (axis,) in axes])
    caption = (
        f"{what}, against the number of times each was in the training data (logarithmic). Bars "
        "are 95 % intervals over independently trained models. Controls are secrets drawn with the "
        "planted ones and never planted, scored against the same reconstructions, all lines of a "
        f"panel together.{left_out}"
    )
    return Drawing(name, title, figure, caption, f"{title}. {' '.join(spoken)}")
