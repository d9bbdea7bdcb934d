"""Figure: how well members are told from others, under the most that the noise allows."""

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from modiva.measure import Interval
from modiva.report.members import ATTACK
from modiva.report.plots import axes, panels
from modiva.report.plots.style import CONTROL, INK, MUTED, Drawing, look
from modiva.report.words import count

_KEYS = ["corpus", "target", "base_defense"]
_NAMES = {"loss": "by the loss", ATTACK: "by LiRA"}
_REPETITIONS = 2  # lines of canaries in a panel


def by_membership(pools: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw the AUC of membership over noise, one panel per corpus, target and defense.

    Sentences are told by the loss and by LiRA, canaries by LiRA; the edge of a shade is the largest
    AUC that any attack reaches. Needs two levels of noise.
    """
    pools = pools[pools["target_epsilon"].isna() & pools["inference"].isin(_NAMES)]
    levels = pools.groupby(_KEYS, sort=False)["noise_multiplier"].nunique()
    cells, left_out = panels.limited(list(levels[levels > 1].index))
    if not cells:
        return None
    title = "Membership against noise"
    number = pools["target"].nunique()
    sheet = panels.Sheet(title, len(cells), number, height=2.0, across=across)
    spoken: list[str] = []
    for cell, (axis,) in zip(cells, sheet.panels, strict=True):
        part = pools[(pools[_KEYS] == list(cell)).all(axis=1)]
        name = panels.facet_title(pools, cell)
        axes.name_panel(axis, name)
        _panel(sheet, axis, part, name, spoken)
    pool = panels.span(sorted({int(number) for number in pools["pool"]}))
    note = (
        f"AUC of telling training records from others in pools of {pool} models, each trained on "
        "every record by the toss of a coin. The edge of a shade is the most that any attack can "
        "reach against a record of its color. Bars are 95 % intervals over models and records; "
        "hollow points are not distinguishable from guessing. The band is that of canaries that "
        f"were never planted.{left_out}"
    )  # fmt: skip
    figure = sheet.finish(_about(pools), note)
    return Drawing("membership_by_noise", title, figure, note, f"{title}. {' '.join(spoken)}")


def _about(pools: pd.DataFrame) -> str:
    corpora = list(dict.fromkeys(pools["corpus"]))
    told = pools.loc[pools["records"] == "sentences", "n_records"]
    name = f"corpus {corpora[0]}" if len(corpora) == 1 else f"{len(corpora)} corpora"
    return f"{name} · {panels.span(sorted({int(n) for n in told}))} sentences"


def _panel(
    sheet: panels.Sheet, axis: Axes, part: pd.DataFrame, name: str, spoken: list[str]
) -> None:
    places = axes.log_places(sorted(part["noise_multiplier"].unique()), 0.35)
    gap = axes.place_axis(axis, places, sheet.inches(), "noise multiplier σ of DP-SGD")
    axis.set_ylim(0.38, 1.02)
    axis.set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0, labelleft=axes.is_first(axis))
    if axes.is_first(axis):
        axis.set_ylabel("AUC of membership")
    axis.axhline(0.5, zorder=2, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    sheet.key("guessing", color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    # Sentences of the pool whose canaries are said least often.
    sentences = part[part["records"] == "sentences"]
    sentences = sentences[sentences["planting"] == sentences["planting"].iloc[0]]
    series = {
        f"sentences {told}": sentences[sentences["inference"] == attack]
        for attack, told in _NAMES.items()
    }
    canaries = part[(part["records"] == "canaries") & (part["inference"] == ATTACK)]
    for number in panels.some(sorted(canaries["repetitions"].unique()), _REPETITIONS):
        own = canaries[canaries["repetitions"] == number]
        series[f"canaries, R = {count(number)}, {_NAMES[ATTACK]}"] = own
    lines = []
    for turn, (label, rows) in enumerate(series.items()):
        rows = rows.sort_values("noise_multiplier").drop_duplicates("noise_multiplier")
        rows = rows[rows["auc"].notna()]
        xs = [places[level] for level in rows["noise_multiplier"]]
        names = [f"σ = {level:g}" for level in rows["noise_multiplier"]]
        lines.append(panels.Line(label, xs, names, list(map(_interval, rows.to_dict("records"))),
                                 look(turn)))  # fmt: skip
        spoken.append(_spoken(name, lines[-1]))
        if turn:  # of sentences once
            _allowed(sheet, axis, rows, places, look(turn)["color"])
    step = 0.022 * (max(places.values()) - min(places.values()))
    sheet.lines(axis, lines, 0.5, panel=name, step=step, gap=gap)
    controls = part[(part["records"] == "controls") & (part["inference"] == ATTACK)]
    controls = controls[controls["planting"] == sentences["planting"].iloc[0]]
    band = controls.groupby("noise_multiplier")[["auc_lower", "auc_upper"]].mean().dropna()
    if len(band):
        levels = [places[level] for level in band.index]
        xs = [axis.get_xlim()[0], *levels, axis.get_xlim()[1]]
        ends = [band[end].tolist() for end in band]
        lower, upper = ([own[0], *own, own[-1]] for own in ends)
        axis.fill_between(xs, lower, upper, color=CONTROL, alpha=0.2, linewidth=0, zorder=1.5)
        sheet.key(panels.CONTROLS, patch=CONTROL, alpha=0.2, linewidth=0)


def _allowed(
    sheet: panels.Sheet, axis: Axes, rows: pd.DataFrame, places: Mapping[float, float], color: str
) -> None:
    """Shade what no attack can reach, above the bound."""
    held = rows[rows["auc_bound"].notna()]
    if held.empty:
        return
    # More noise never allows more: the last edge goes on to the end of the axis.
    xs = [*(places[level] for level in held["noise_multiplier"]), axis.get_xlim()[1]]
    edge = [*held["auc_bound"], held["auc_bound"].iloc[-1]]
    axis.fill_between(xs, edge, 1.02, color=color, alpha=0.08, linewidth=0, zorder=1.2)
    axis.plot(xs, edge, color=color, linewidth=2.4, alpha=0.3, zorder=1.3)
    sheet.key("the most that any attack can reach", color=MUTED, linewidth=2.4, alpha=0.5)


def _interval(row: Mapping[str, float]) -> Interval:
    ends = (row["auc_lower"], row["auc_upper"])
    lower, upper = (math.nan if pd.isna(end) else end for end in ends)
    return Interval(row["auc"], lower, upper, int(row["n_records"]), int(row["pool"]))


def _spoken(panel: str, line: panels.Line) -> str:
    values = []
    for own, x in zip(line.measures, line.names, strict=True):
        ends = f" ({own.lower:.2f}–{own.upper:.2f})" if own.known else ""
        values.append(f"{own.mean:.2f}{ends} at {x}")
    return f"{panel}, {line.label}: {', '.join(values)}."
