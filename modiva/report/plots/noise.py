"""Figure: what noise in training costs the attack, and what it costs the classifier."""

import math

import pandas as pd

from modiva.measure import summarise
from modiva.report.plots import panels
from modiva.report.plots.style import GRID, INK, MUTED, Drawing, control_look, look
from modiva.report.words import short, strongest_attack


def by_noise(frame: pd.DataFrame) -> Drawing | None:
    """Draw extraction over accuracy on one axis of noise, epsilon on top; needs two levels."""
    attack = strongest_attack(frame)
    frame = frame[frame["attack"] == attack]
    keys = ["corpus", "target", "base_defense"]
    planted = frame[frame["planted"] == 1]
    levels = planted.groupby(keys, sort=False)["noise_multiplier"].nunique()
    cells = list(levels[levels > 1].index)
    if not cells:
        return None
    repetitions = sorted(planted["repetitions"].unique())
    figure, axes = panels.grid(len(cells), len(cells), height=4.3, stacked=(3, 2))
    spoken = []
    for cell, (upper, lower) in zip(cells, axes, strict=True):
        part = frame[(frame[keys] == list(cell)).all(axis=1)]
        title = panels.facet_title(frame, cell[:2])
        title += "" if cell[2] == "none" else f", {cell[2]}"
        ticks = sorted(part["noise_multiplier"].unique())
        step = 0.012 * (max(ticks) - min(ticks))
        groups = summarise(part[part["planted"] == 1], ["repetitions", "noise_multiplier"])
        upper.set_title(title)
        for turn, number in enumerate(repetitions):
            line = [group for group in groups if group["repetitions"] == number]
            xs = [
                group["noise_multiplier"] + panels.dodge(turn, len(repetitions) + 1, step)
                for group in line
            ]
            measures = [group["exact"] for group in line]
            if line:
                panels.series(upper, xs, measures, f"R = {number}", look(turn))
                noises = [f"σ = {group['noise_multiplier']:g}" for group in line]
                spoken.append(panels.spoken(f"{title}, R = {number}, extracted", noises, measures))
        controls = summarise(part[part["planted"] == 0], ["noise_multiplier"])
        if controls:
            shift = panels.dodge(len(repetitions), len(repetitions) + 1, step)
            panels.series(
                upper,
                [group["noise_multiplier"] + shift for group in controls],
                [group["exact"] for group in controls],
                "controls (never planted)",
                control_look(),
            )
        panels.chance_line(upper, part)
        accuracy = summarise(part, ["noise_multiplier"])
        accuracy = [group for group in accuracy if group["test_accuracy"]]
        _accuracy(lower, accuracy)
        noises = [f"σ = {group['noise_multiplier']:g}" for group in accuracy]
        if accuracy:
            measures = [_bounded(group["test_accuracy"]) for group in accuracy]
            spoken.append(panels.spoken(f"{title}, test accuracy", noises, measures))
        panels.rate_axis(upper, "reconstructed exactly")
        panels.rate_axis(lower, "accuracy")
        panels.subtitle(upper, panels.numbers_line(groups), above=29 if _has_epsilon(groups) else 5)
        margin = 0.07 * (max(ticks) - min(ticks))
        for axis in (upper, lower):
            axis.set_xlim(min(ticks) - margin, max(ticks) + margin)
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        upper.tick_params(axis="x", labelbottom=False)
        lower.set_xlabel("noise multiplier σ of DP-SGD")
        _epsilon_axis(upper, groups, ticks)
    panels.legend(figure, [axis for panel in axes for axis in panel])
    deltas = {delta for delta in planted.get("delta", pd.Series(dtype=float)) if delta > 0}
    caption = (
        f"Above: secrets that the {attack} attack reconstructed in full, by repetitions R in the "
        "training data. Below: test accuracy of the same models, and what always naming the most "
        "common intent reaches. The axis of noise is shared; on top of it, the privacy loss ε of "
        "one sentence"
        + (f" at δ = {short(next(iter(deltas)))}" if len(deltas) == 1 else "")
        + " (∞: no guarantee). Bars are 95 % intervals over models. A low rate at an accuracy near "
        "the floor shows an under-trained model, not a defense."
    )
    title = "Extraction and accuracy against noise"
    return Drawing("extraction_by_noise", title, figure, caption, f"{title}. {' '.join(spoken)}")


def _accuracy(axis: panels.Axes, groups: list[panels.Group]) -> None:
    """Draw test accuracy above the floor that is worth nothing."""
    if not groups:
        return
    xs = [group["noise_multiplier"] for group in groups]
    style = {"color": INK, "marker": "o", "linestyle": "-"}
    panels.series(
        axis, xs, [_bounded(group["test_accuracy"]) for group in groups], "test accuracy", style
    )
    floor = [group["majority_accuracy"] for group in groups]
    if all(value is not None for value in floor):
        axis.plot(xs, floor, color=MUTED, linestyle="--", linewidth=1, label="majority class")
        axis.fill_between(xs, 0, floor, color=GRID, alpha=0.55, linewidth=0, zorder=1)


def _bounded(measure: dict[str, float | None]) -> dict[str, float]:
    """Return an accuracy whose interval stays in [0, 1]; of one model, no interval."""
    mean = measure["mean"]
    assert mean is not None
    lower = mean if measure["lower"] is None else max(measure["lower"], 0.0)
    upper = mean if measure["upper"] is None else min(measure["upper"], 1.0)
    return {"mean": mean, "lower": lower, "upper": upper}


def _has_epsilon(groups: list[panels.Group]) -> bool:
    return any(group["epsilon"] is not None for group in groups)


def _epsilon_axis(axis: panels.Axes, groups: list[panels.Group], ticks: list[float]) -> None:
    """Put the epsilon of every noise level over it."""
    if not _has_epsilon(groups):
        return
    found: dict[float, float] = {}
    for group in groups:
        if group["epsilon"] is not None:
            noise = group["noise_multiplier"]
            found[noise] = max(found.get(noise, 0.0), group["epsilon"])
    top = axis.secondary_xaxis("top")
    labels = [short(found.get(tick, math.inf if tick == 0 else math.nan)) for tick in ticks]
    top.set_xticks(ticks, labels)
    top.set_xlabel("privacy loss ε", fontsize=8)
    top.tick_params(length=2, labelsize=7.5)
    top.spines["top"].set_visible(False)
