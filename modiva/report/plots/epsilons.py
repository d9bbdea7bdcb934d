"""Figure: the privacy loss lies between what ranks show and what is proved."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from modiva.measure import Group, summarise
from modiva.report.plots import axes, panels
from modiva.report.plots.style import PAPER, Drawing, look
from modiva.report.words import compact, count, short, strongest_attack

_KEYS = ["corpus", "target", "base_defense"]
_REPETITIONS = 3  # spans side by side


def by_claim(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw the span from the audited lower bound to the claimed epsilon, over noise.

    Needs private targets and an attack that ranks whole spaces.
    """
    if "rank" not in frame or "group_epsilon" not in frame:
        return None
    planted = frame[(frame["planted"] == 1) & frame["group_epsilon"].notna()]
    planted = planted[planted["rank"].notna() & planted["target_epsilon"].isna()]
    if planted.empty:
        return None
    attack = strongest_attack(planted)
    planted = planted[planted["attack"] == attack]
    found = planted[_KEYS].drop_duplicates().itertuples(index=False, name=None)
    cells, left_out = panels.limited(list(found))
    numbers = panels.some(sorted(planted["repetitions"].unique()), _REPETITIONS)
    title = "Privacy loss: shown by ranks, and proved"
    columns = planted["target"].nunique()
    sheet = panels.Sheet(title, len(cells), columns, height=2.0, across=across)
    spoken: list[str] = []
    shown: list[Group] = []
    for cell, (axis,) in zip(cells, sheet.panels, strict=True):
        part = planted[(planted[_KEYS] == list(cell)).all(axis=1)]
        name = panels.facet_title(planted, cell)
        axes.name_panel(axis, name)
        levels = summarise(part, ["repetitions", "noise_multiplier"])
        groups = [group for group in levels if group["repetitions"] in numbers]
        _spans(sheet, axis, groups, numbers)
        spoken += [_spoken(name, group) for group in groups]
        shown += groups
    controls = frame[(frame["planted"] == 0) & (frame["attack"] == attack)]
    null = summarise(controls, [*_KEYS, "repetitions", "noise_multiplier"])
    most = max((group.epsilon_lower or 0.0 for group in null), default=0.0)
    note = (
        "ε of all R sentences that hold one secret. The bar at the top is the upper bound that "
        "the noise guarantees, the triangle the lower bound (95 %) that the ranks of one secret "
        "of each model show. A span without a triangle goes down to 0: these ranks show nothing. "
        "A triangle above its bar would refute the guarantee. The same audit of controls, which "
        f"were never planted, shows {short(most)} at most.{left_out}"
    )  # fmt: skip
    about = panels.subject(planted, f"ranks by {attack}", groups=shown)
    return Drawing(
        "privacy_loss", title, sheet.finish(about, note), note, f"{title}. {' '.join(spoken)}"
    )


def _spans(sheet: panels.Sheet, axis: Axes, groups: list[Group], numbers: list[int]) -> None:
    claims = [group.group_epsilon for group in groups if group.group_epsilon]
    lowers = [group.epsilon_lower for group in groups if group.epsilon_lower]
    floor = min([*claims, *lowers]) / 2
    axis.set_yscale("log")
    axis.set_ylim(floor, 2 * max([*claims, *lowers]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="y", which="both", length=0, labelleft=True)
    if axes.is_first(axis):
        axis.set_ylabel("ε of the secret")
    places = axes.log_places(sorted({group["noise_multiplier"] for group in groups}))
    axes.place_axis(axis, places, sheet.inches(), "noise multiplier σ of DP-SGD")
    width = 0.1 * (axis.get_xlim()[1] - axis.get_xlim()[0]) / len(numbers)
    for group in groups:
        turn = numbers.index(group["repetitions"])
        style = look(turn)
        color = style["color"]
        x = places[group["noise_multiplier"]] + panels.dodge(turn, len(numbers), width)
        upper, lower = group.group_epsilon, group.epsilon_lower
        assert upper is not None
        axis.plot([x, x], [lower or floor, upper], color=color, linewidth=3, alpha=0.3)
        axis.plot([x], [upper], color=color, marker="_", markersize=9, markeredgewidth=1.8)
        if lower:
            axis.plot([x], [lower], color=color, marker="^", markeredgecolor=PAPER)
        label = f"R = {count(group['repetitions'])}"
        sheet.key(label, color=color, marker="^", linewidth=3, alpha=0.6)


def _spoken(panel: str, group: Group) -> str:
    lower = short(group.epsilon_lower) if group.epsilon_lower else "0"
    return (
        f"{panel}, σ = {group['noise_multiplier']:g}, R = {count(group['repetitions'])}: between "
        f"{lower} and {short(group.group_epsilon)}."
    )
