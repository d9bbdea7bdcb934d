"""Figure: what noise in training costs the attacks, and what it costs the classifier."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.transforms import blended_transform_factory

from modiva.measure import summarise
from modiva.report.plots import panels
from modiva.report.plots.exposures import NULL_BITS
from modiva.report.plots.style import GRID, INK, MUTED, Drawing, control_look, look
from modiva.report.words import compact, count, short

PUBLISHED = "parikh2022"  # shown beside the strongest attack where both ran
_KEYS = ["corpus", "target", "base_defense"]
_HEIGHTS = {"extraction": 1.55, "exposure": 1.35, "accuracy": 1.2}  # inches
_BOUNDS_ROW = 0.17


def by_noise(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw extraction, exposure and accuracy over noise, epsilons on top; needs two levels.

    A column is a corpus, target and defense; in it, below each other and on one axis of noise: the
    bounds ε of one sentence and of all repetitions, extraction by up to two attacks, exposure, and
    accuracy above the majority floor. One line a number of repetitions.
    """
    planted = frame[frame["planted"] == 1]
    levels = planted.groupby(_KEYS, sort=False)["noise_multiplier"].nunique()
    cells, left_out = panels.limited(list(levels[levels > 1].index), 4)
    if not cells:
        return None
    frame = frame[frame.set_index(_KEYS).index.isin(cells)]
    planted = frame[frame["planted"] == 1]
    attacks = _attacks(planted)
    repetitions = panels.some(sorted(planted["repetitions"].unique()), 5)
    bounds = _bounded_repetitions(planted, repetitions)
    parts = [*(("extraction", attack) for attack in attacks)]
    if "exposure" in frame and planted["exposure"].notna().any():
        parts.append(("exposure", attacks[0]))
    if planted["test_accuracy"].notna().any():
        parts.append(("accuracy", ""))
    heights = [_BOUNDS_ROW * (1 + len(bounds)) if bounds is not None else 0.02]
    heights += [_HEIGHTS[kind] for kind, _ in parts]
    figure, axes = panels.grid(
        len(cells), len(cells), height=sum(heights) + 0.9, stacked=heights, across=across
    )
    spoken: list[str] = []
    for cell, (top, *stack) in zip(cells, axes, strict=True):
        part = frame[(frame[_KEYS] == list(cell)).all(axis=1)]
        title = panels.facet_title(frame, cell[:2])
        title += "" if cell[2] == "none" else f", {cell[2]}"
        places = _places(sorted(part["noise_multiplier"].unique()))
        measured = {attack: _measured(part[part["attack"] == attack]) for attack in attacks}
        for (kind, attack), axis in zip(parts, stack, strict=True):
            if kind == "accuracy":
                _accuracy(axis, part, places, title, spoken)
                panels.rate_axis(axis, "test accuracy")
                continue
            chosen = part[part["attack"] == attack]
            measure = "exact" if kind == "extraction" else "exposure"
            _series(axis, measured[attack], measure, repetitions, places, (title, attack), spoken)
            if kind == "extraction":
                panels.chance_line(axis, chosen)
                panels.rate_axis(axis, f"extracted by\n{attack}")
            else:
                _bits_axis(axis, chosen, attack if len(attacks) > 1 else "")
        top.set_title(title)
        _bounds(top, part, bounds, places)
        panels.subtitle(top, panels.numbers_line(measured[attacks[0]][0]))
        _noise_axes([top, *stack], places)
    figure.align_ylabels([axis for _, *stack in axes for axis in stack])
    panels.legend(figure, [axis for panel in axes for axis in panel])
    title = "Extraction and accuracy against noise"
    caption = _caption(frame, parts, bounds is not None) + left_out
    return Drawing("extraction_by_noise", title, figure, caption, f"{title}. {' '.join(spoken)}")


def _attacks(planted: pd.DataFrame) -> list[str]:
    """Return the attack that extracts most, and the published one or else the next best."""
    rates = planted.groupby("attack", sort=False)["exact"].mean().sort_values(kind="stable")
    order = [str(name) for name in rates.index[::-1]]
    second = [PUBLISHED] if PUBLISHED in order[1:] else order[1:2]
    return [order[0], *second]


def _bounded_repetitions(planted: pd.DataFrame, repetitions: Sequence[int]) -> list[int] | None:
    """Return the repetitions whose group has a bound of its own; None without any epsilon."""
    if "epsilon" not in planted or not planted["epsilon"].notna().any():
        return None
    return [number for number in repetitions if number > 1 and "group_epsilon" in planted]


def _places(noises: Sequence[float]) -> dict[float, float]:
    """Return where each noise stands: by its logarithm, or evenly where that would be too close."""
    places = panels.log_places(noises, 0.35)
    xs = list(places.values())
    least = min(right - left for left, right in pairwise(xs))
    if least < 0.09 * (xs[-1] - xs[0]):
        return {noise: float(place) for place, noise in enumerate(noises)}
    return places


def _measured(part: pd.DataFrame) -> tuple[list[panels.Group], list[panels.Group]]:
    """Return the groups of planted secrets by repetitions and noise, and of controls by noise."""
    planted = summarise(part[part["planted"] == 1], ["repetitions", "noise_multiplier"])
    return planted, summarise(part[part["planted"] == 0], ["noise_multiplier"])


def _series(
    axis: panels.Axes,
    measured: tuple[list[panels.Group], list[panels.Group]],
    measure: str,
    repetitions: Sequence[int],
    places: dict[float, float],
    said: tuple[str, str],
    spoken: list[str],
) -> None:
    """Draw a measure by noise, one line a number of repetitions and one of controls."""
    step = 0.013 * (max(places.values()) - min(places.values()))
    planted, controls = measured
    lines: list[tuple[str, list[panels.Group], dict[str, Any]]] = []
    for turn, number in enumerate(repetitions):
        own = [group for group in planted if group["repetitions"] == number]
        lines.append((f"R = {count(number)}", own, look(turn)))
    lines.append(("controls (never planted)", controls, control_look()))
    for turn, (label, line, style) in enumerate(lines):
        groups = [group for group in line if group[measure]]
        if not groups:
            continue
        shift = panels.dodge(turn, len(lines), step)
        xs = [places[group["noise_multiplier"]] + shift for group in groups]
        measures = [group[measure] for group in groups]
        panels.series(axis, xs, measures, label, style)
        noises = [f"σ = {group['noise_multiplier']:g}" for group in groups]
        title, attack = said
        if measure == "exact":
            spoken.append(panels.spoken(f"{title}, {attack}, {label}", noises, measures))
        else:
            bits = ", ".join(
                f"{own['mean']:.1f} at {noise}" for own, noise in zip(measures, noises, strict=True)
            )
            spoken.append(f"{title}, {label}, mean exposure in bits: {bits}.")


def _bits_axis(axis: panels.Axes, part: pd.DataFrame, attack: str) -> None:
    """Make y bits, with what a never-seen secret has and all that there are."""
    sizes = part["space_size"].dropna().unique()
    top = max((math.log2(size) for size in sizes), default=float(part["exposure"].max()))
    axis.axhline(NULL_BITS, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=2)
    if len(sizes) == 1:
        axis.axhline(top, color=MUTED, linewidth=0.8, linestyle="--", zorder=2)
    axis.set_ylim(-0.03 * top, 1.05 * top)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0, labelleft=panels.is_first(axis))
    if panels.is_first(axis):
        axis.set_ylabel("exposure (bits)" + (f"\n{attack}" if attack else ""))


def _accuracy(
    axis: panels.Axes,
    part: pd.DataFrame,
    places: dict[float, float],
    title: str,
    spoken: list[str],
) -> None:
    """Draw test accuracy above the floor that is worth nothing."""
    groups = [group for group in summarise(part, ["noise_multiplier"]) if group["test_accuracy"]]
    if not groups:
        return
    xs = [places[group["noise_multiplier"]] for group in groups]
    measures = [_bounded(group["test_accuracy"]) for group in groups]
    style = {"color": INK, "marker": "o", "linestyle": "-"}
    panels.series(axis, xs, measures, "test accuracy", style)
    noises = [f"σ = {group['noise_multiplier']:g}" for group in groups]
    spoken.append(panels.spoken(f"{title}, test accuracy", noises, measures))
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


def _bounds(
    axis: panels.Axes, part: pd.DataFrame, bounds: Sequence[int] | None, places: dict[float, float]
) -> None:
    """Write the privacy loss of every noise level over it: of one sentence, and of R of them."""
    for side in axis.spines.values():
        side.set_visible(False)
    axis.grid(visible=False)
    axis.tick_params(length=0, labelbottom=False, labelleft=panels.is_first(axis), pad=6)
    if bounds is None:
        axis.set_yticks([])
        return
    rows = [("ε, one sentence", part, "epsilon")]
    for number in bounds:
        same = part[part["repetitions"] == number]
        rows.append((f"group ε, R = {count(number)}", same, "group_epsilon"))
    across = blended_transform_factory(axis.transData, axis.transAxes)
    heights = [1 - (turn + 0.5) / len(rows) for turn in range(len(rows))]
    for height, (_, own, name) in zip(heights, rows, strict=True):
        found = own.groupby("noise_multiplier")[name].max()  # what may be claimed of every target
        for noise, place in places.items():
            bound = found.get(noise, math.nan)
            text = "∞" if noise == 0 or math.isinf(bound) else compact(bound)
            axis.text(place, height, text, transform=across, ha="center", va="center", fontsize=7.5)
    axis.set_ylim(0, 1)
    axis.set_yticks(heights, [label for label, _, _ in rows], fontsize=7.5)


def _noise_axes(stack: Sequence[panels.Axes], places: dict[float, float]) -> None:
    """Give all axes of a column the same noise, named under the lowest."""
    left, right = min(places.values()), max(places.values())
    margin = 0.09 * (right - left)
    for axis in stack:
        axis.set_xlim(left - margin, right + margin)
        axis.set_xticks(list(places.values()), [f"{noise:g}" for noise in places])
        axis.tick_params(axis="x", which="minor", length=0)
        axis.tick_params(axis="x", labelbottom=axis is stack[-1])
    stack[-1].set_xlabel("noise multiplier σ of DP-SGD")


def _caption(frame: pd.DataFrame, parts: Sequence[tuple[str, str]], bounded: bool) -> str:
    deltas = {delta for delta in frame.get("delta", pd.Series(dtype=float)) if delta > 0}
    attacks = [attack for kind, attack in parts if kind == "extraction"]
    kinds = {kind for kind, _ in parts}
    text = (
        f"Secrets that {' and '.join(attacks)} reconstructed in full, by repetitions R in the "
        "training data, against the noise of private training (logarithmic, no noise apart, unless "
        "levels are too close). "
    )
    if "exposure" in kinds:
        text += (
            f"Exposure: mean; a secret never seen has {NULL_BITS:.2f} bits (dotted), one found "
            "first has them all (dashed). "
        )
    if "accuracy" in kinds:
        text += (
            "Test accuracy of the same models, and what always naming the most common intent "
            "reaches: a low rate near that floor shows an under-trained model, not a defense. "
        )
    if bounded:
        delta = f" at δ = {short(next(iter(deltas)))}" if len(deltas) == 1 else ""
        text += (
            f"On top, the privacy loss ε of one sentence{delta}, and of all R sentences that hold "
            "one secret together (∞: no bound). "
        )
    return text + "Bars are 95 % intervals over models."
