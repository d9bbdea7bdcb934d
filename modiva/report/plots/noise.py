"""Figures: what private training costs the attacks, and what it costs the classifier."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from modiva.measure import Group, Interval, summarise
from modiva.report.answer import exact
from modiva.report.plots import axes, panels
from modiva.report.plots.style import GRID, INK, MUTED, NOTE_SIZE, Drawing, look
from modiva.report.words import PRIVATE, compact, count, share, short, strongest_attack

PUBLISHED = "parikh2022"  # shown beside the strongest attack where both ran
_KEYS = ["corpus", "target", "base_defense", "method"]
_HEIGHT, _BOUNDS_ROW = 1.25, 0.15  # inches
_REPETITIONS = 3  # lines of a panel
_GAP = 0.35  # decades from no noise to the least


@dataclass(frozen=True)
class _Scale:
    """What x is: levels of protection, 0 for none."""

    name: str
    symbol: str
    label: str
    value: Callable[[float], float]  # of a level


_NOISE = _Scale("noise", "σ", "noise multiplier σ of DP-SGD", lambda level: level)
_EPSILON = _Scale(
    "epsilon", "ε", "ε of one sentence", lambda level: 1 / level if level else math.inf
)


def by_noise(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw extraction and accuracy over the noise that was chosen; needs two levels."""
    frame = frame[frame["target_epsilon"].isna()]
    return _draw(frame.assign(level=frame["noise_multiplier"]), _NOISE, across)


def by_epsilon(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw extraction and accuracy over the epsilon that was chosen; needs two levels."""
    frame = frame[frame["target_epsilon"].notna() | (frame["noise_multiplier"] == 0)]
    # From left to right more is protected, as over noise: a level is 1 / epsilon.
    return _draw(frame.assign(level=(1 / frame["target_epsilon"]).fillna(0.0)), _EPSILON, across)


def _draw(frame: pd.DataFrame, scale: _Scale, across: int) -> Drawing | None:
    """Draw extraction and accuracy over levels of protection, epsilons on top.

    A column is a corpus, target, defense and private method; in it, below each other and on one
    axis: the bound ε of each number of repetitions, extraction by up to two attacks, and accuracy
    above the majority floor. One line a number of repetitions.
    """
    frame = _by_method(frame)
    methods = set(frame["method"])
    planted = frame[frame["planted"] == 1]
    levels = planted.groupby(_KEYS, sort=False)["level"].nunique()
    cells, left_out = panels.limited(list(levels[levels > 1].index), 4)
    if not cells:
        return None
    frame = frame[frame.set_index(_KEYS).index.isin(cells)]
    planted = frame[frame["planted"] == 1]
    attacks = _attacks(planted)
    numbers = sorted(planted["repetitions"].unique())
    repetitions = panels.some(numbers, _REPETITIONS)
    if len(numbers) > len(repetitions):
        left_out += f" R = {', '.join(map(count, repetitions))} of {len(numbers)}: see the table."
    rows = 1 + len(attacks)
    accurate = planted["test_accuracy"].notna().any()
    bounds = _bounded_repetitions(planted, repetitions)
    heights = [_BOUNDS_ROW * len(bounds) + 0.02, *[_HEIGHT] * (rows if accurate else rows - 1)]
    title = f"Extraction and accuracy against {scale.name}"
    sheet = panels.Sheet(
        title, len(cells), len(cells), height=sum(heights) + 0.7, stacked=heights, across=across
    )
    spoken: list[str] = []
    shown: list[Group] = []
    placed: list[Mapping[float, float]] = []
    for cell, (top, *stack) in zip(cells, sheet.panels, strict=True):
        part = frame[(frame[_KEYS] == list(cell)).all(axis=1)]
        name = panels.facet_title(frame, cell[:3])
        name += "" if methods == {"dp"} else f", {PRIVATE[cell[3]]}"
        places = _places(sorted(part["level"].unique()))
        placed.append(places)
        gap = _axes(sheet, [top, *stack], places, scale)
        for attack, axis in zip(attacks, stack, strict=False):
            axes.rate_axis(axis, f"extracted by\n{attack}")
            chosen = part[part["attack"] == attack]
            shown += _extraction(sheet, axis, chosen, repetitions, places, gap, scale, name, spoken)
        if accurate:
            axes.rate_axis(stack[-1], "test accuracy")
            _accuracy(sheet, stack[-1], part, places, gap, scale, name, spoken)
        axes.name_panel(top, name)
        _bounds(top, part, bounds, places, sheet.inches())
    sheet.figure.align_ylabels([axis for _, *stack in sheet.panels for axis in stack])
    note = _note(frame, attacks, bool(bounds), shown) + sheet.unclear_note() + left_out
    if any(places != axes.log_places(list(places), _GAP) for places in placed):
        note += f" Levels of {scale.name} are evenly spaced, not to scale."
    figure = sheet.finish(panels.subject(frame, f"by {' and '.join(attacks)}", groups=shown), note)
    return Drawing(
        f"extraction_by_{scale.name}", title, figure, note, f"{title}. {' '.join(spoken)}"
    )


def _by_method(frame: pd.DataFrame) -> pd.DataFrame:
    """Tell private methods apart, which at one level protect differently.

    Ordinary targets stand beside those of every method; private ones of no named method are "dp".
    """
    named = [[name for name in text.split("+") if name in PRIVATE] for text in frame["defense"]]
    frame = frame.assign(method=[names[0] if names else "dp" for names in named])
    private = frame[frame["level"] > 0]
    if private["method"].nunique() < 2:
        return frame.assign(method=private["method"].iloc[0] if len(private) else "dp")
    ordinary = frame[frame["level"] == 0].drop(columns="method")
    beside = ordinary.merge(private[_KEYS].drop_duplicates(), how="left", on=_KEYS[:-1])
    return pd.concat([beside.fillna({"method": "dp"}), private], ignore_index=True)


def _attacks(planted: pd.DataFrame) -> list[str]:
    """Return the attack that extracts most, and the published one where it is another."""
    found = strongest_attack(planted)
    return [found, PUBLISHED] if PUBLISHED in set(planted["attack"]) - {found} else [found]


def _bounded_repetitions(planted: pd.DataFrame, repetitions: Sequence[int]) -> list[int]:
    """Return the repetitions that have a bound of their own; none without any epsilon."""
    if "epsilon" not in planted or not planted["epsilon"].notna().any():
        return []
    return [number for number in repetitions if number == 1 or "group_epsilon" in planted]


def _places(noises: Sequence[float]) -> dict[float, float]:
    """Return where each noise stands: by its logarithm, or evenly where that would be too close."""
    places = axes.log_places(noises, _GAP)
    xs = list(places.values())
    least = min(right - left for left, right in pairwise(xs))
    if least < 0.09 * (xs[-1] - xs[0]):
        return {noise: float(place) for place, noise in enumerate(noises)}
    return places


def _axes(
    sheet: panels.Sheet,
    stack: Sequence[Axes],
    places: Mapping[float, float],
    scale: _Scale,
) -> tuple[float, float] | None:
    """Give all axes of a column the same levels, named under the lowest; return the break."""
    label = scale.label + (f"\n({_tick(scale, 0)}: not private)" if 0 in places else "")
    gap = None
    for axis in stack:
        if axis is stack[0]:  # ε only: no axis of its own
            axis.set_xticks([])
            continue
        gap = axes.place_axis(
            axis, places, sheet.inches(), label, lambda level: _tick(scale, level)
        )
        if axis is not stack[-1]:
            axis.tick_params(axis="x", labelbottom=False)
            axis.set_xlabel("")
    stack[0].set_xlim(stack[-1].get_xlim())
    return gap


def _tick(scale: _Scale, level: float) -> str:
    value = scale.value(level)
    return short(value) if math.isinf(value) else f"{value:g}"


def _extraction(
    sheet: panels.Sheet,
    axis: Axes,
    part: pd.DataFrame,
    repetitions: Sequence[int],
    places: Mapping[float, float],
    gap: tuple[float, float] | None,
    scale: _Scale,
    panel: str,
    spoken: list[str],
) -> list[Group]:
    """Draw extraction by one attack, one line per number of repetitions; return the groups."""
    planted = summarise(part[part["planted"] == 1], ["repetitions", "level"])
    planted = [group for group in planted if group["repetitions"] in repetitions]
    lines = []
    for turn, number in enumerate(repetitions):
        own = [group for group in planted if group["repetitions"] == number]
        xs = [places[group["level"]] for group in own]
        names = [f"{scale.symbol} = {_tick(scale, group['level'])}" for group in own]
        measures = [exact(group) for group in own]
        lines.append(panels.Line(f"R = {count(number)}", xs, names, measures, look(turn)))
    chance = sheet.chance(axis, part)
    step = 0.022 * (max(places.values()) - min(places.values()))
    attack = part["attack"].iloc[0] if len(part) else ""
    spoken += sheet.lines(axis, lines, chance, panel=f"{panel}, {attack}", step=step, gap=gap)
    for turn, number in enumerate(repetitions):
        own = [group for group in planted if group["repetitions"] == number]
        spoken += _allowed(sheet, axis, own, turn, places, scale, f"{panel}, {attack}")
    controls = summarise(part[part["planted"] == 0], ["level"])
    xs = [places[group["level"]] for group in controls]
    sheet.controls(axis, xs, [exact(group) for group in controls])
    return planted


def _allowed(
    sheet: panels.Sheet,
    axis: Axes,
    groups: Sequence[Group],
    turn: int,
    places: Mapping[float, float],
    scale: _Scale,
    panel: str,
) -> list[str]:
    """Shade the rates that no attack can reach, above the bound; return the bounds in words."""
    held = [(group, group.exact_bound) for group in groups if group.exact_bound is not None]
    if not held:
        return []
    # More noise never allows more: the last edge goes on to the end of the axis.
    xs = [*(places[group["level"]] for group, _ in held), axis.get_xlim()[1]]
    edge = [*(bound for _, bound in held), held[-1][1]]
    color = look(turn)["color"]
    axis.fill_between(xs, edge, 1.0, color=color, alpha=0.08, linewidth=0, zorder=1.2)
    axis.plot(xs, edge, color=color, linewidth=2.4, alpha=0.3, zorder=1.3)
    sheet.key("the most that any attack can extract", color=MUTED, linewidth=2.4, alpha=0.5)
    said = [
        f"{scale.symbol} = {_tick(scale, group['level'])}: {share(bound)}" for group, bound in held
    ]
    return [f"{panel}, R = {count(held[0][0]['repetitions'])} at most: {', '.join(said)}."]


def _accuracy(
    sheet: panels.Sheet,
    axis: Axes,
    part: pd.DataFrame,
    places: Mapping[float, float],
    gap: tuple[float, float] | None,
    scale: _Scale,
    panel: str,
    spoken: list[str],
) -> None:
    """Draw test accuracy above the floor that is worth nothing."""
    groups = [group for group in summarise(part, ["level"]) if group.test_accuracy]
    if not groups:
        return
    xs = [places[group["level"]] for group in groups]
    measures = [_bounded(group.test_accuracy) for group in groups if group.test_accuracy]
    names = [f"{scale.symbol} = {_tick(scale, group['level'])}" for group in groups]
    style = {"color": INK, "marker": "o", "linestyle": "-"}
    line = panels.Line("test accuracy", xs, names, measures, style)
    spoken += sheet.lines(axis, [line], -1.0, panel=panel, gap=gap, named=False)
    floor = [group.majority_accuracy for group in groups if group.majority_accuracy is not None]
    if len(floor) == len(xs):
        edges = [axis.get_xlim()[0], *xs, axis.get_xlim()[1]]
        floors = [floor[0], *floor, floor[-1]]
        axis.plot(edges, floors, color=MUTED, linestyle="--", linewidth=0.9)
        axis.fill_between(edges, 0, floors, color=GRID, alpha=0.55, linewidth=0, zorder=1)
        sheet.key("most common intent", color=MUTED, linestyle="--", linewidth=0.9)


def _bounded(measure: Interval) -> Interval:
    """Return an accuracy whose interval stays in [0, 1]; unknown bounds stay unknown."""
    lower, upper = np.clip([measure.lower, measure.upper], 0, 1)
    return replace(measure, lower=lower, upper=upper)


def _bounds(
    axis: Axes,
    part: pd.DataFrame,
    bounds: Sequence[int],
    places: Mapping[float, float],
    inches: float,
) -> None:
    """Write the privacy loss over every noise level: of the R sentences that hold one secret."""
    for side in axis.spines.values():
        side.set_visible(False)
    axis.grid(visible=False)
    axis.set_ylim(0, 1)
    axis.tick_params(length=0, labelleft=axes.is_first(axis), pad=6)
    heights = [1 - (turn + 0.5) / len(bounds) for turn in range(len(bounds))]
    axis.set_yticks(heights, [f"ε, R = {count(number)}" for number in bounds], fontsize=NOTE_SIZE)
    across = blended_transform_factory(axis.transData, axis.transAxes)
    for height, number in zip(heights, bounds, strict=True):
        same = part[part["repetitions"] == number]
        column = "epsilon" if number == 1 else "group_epsilon"
        # A group whose bound is void has none, beside a sentence that has one.
        claims = same[column].fillna(math.inf).where(same["epsilon"].notna())
        found = claims.groupby(same["level"]).max()  # what holds for every target
        for level in axes.readable(places, inches):
            bound = found.get(level, math.nan)
            text = "∞" if level == 0 or math.isinf(bound) else compact(bound)
            label = axis.text(places[level], height, text, transform=across, fontsize=NOTE_SIZE)
            label.set(ha="center", va="center")


def _note(
    frame: pd.DataFrame, attacks: Sequence[str], bounded: bool, shown: Sequence[Group]
) -> str:
    deltas = {delta for delta in frame.get("delta", pd.Series(dtype=float)) if delta > 0}
    text = (
        f"Secrets that {' and '.join(attacks)} reconstructed in full, by repetitions R in the "
        "training data. The band is the 95 % interval of controls. "
        f"{panels.models_note(shown)} Accuracy near that of the most common intent shows an "
        "under-trained model, not a defense."
    )
    if "exact_bound" in frame and frame["exact_bound"].notna().any():
        text += (
            " The edge of a shade is the most that any attack can extract at the R of its color."
        )
    if bounded:
        delta = f", at δ = {short(next(iter(deltas)))}" if len(deltas) == 1 else ""
        text += (
            f" ε bounds the privacy loss of all R sentences that hold one secret{delta} (∞: none)."
        )
    return text
