"""Figure: the attacks of a run side by side on the same targets."""

import numpy as np
import pandas as pd

from modiva.measure import summarise
from modiva.report.plots import panels
from modiva.report.plots.style import Drawing, look
from modiva.report.words import count, least_defended


def side_by_side(frame: pd.DataFrame) -> Drawing | None:
    """Draw one row an attack, one mark a number of repetitions; needs two attacks."""
    condition = least_defended(frame)
    frame = frame[(frame["condition"] == condition) & (frame["planted"] == 1)]
    if frame["attack"].nunique() < 2:
        return None
    # The best on top: matplotlib counts from the bottom.
    attacks = list(frame.groupby("attack")["exact"].mean().sort_values(kind="stable").index)
    cost = frame.groupby("attack")["evaluations"].median()
    repetitions = sorted(frame["repetitions"].unique())
    pairs = panels.facets(frame)
    figure, axes = panels.grid(
        len(pairs),
        frame["target"].nunique(),
        height=0.95 + len(attacks) * (0.22 + 0.09 * len(repetitions)),
    )
    spoken = []
    for pair, (axis,) in zip(pairs, axes, strict=True):
        part = frame[(frame["corpus"] == pair[0]) & (frame["target"] == pair[1])]
        title = panels.facet_title(frame, pair)
        axis.set_title(title)
        groups = summarise(part, ["repetitions", "attack"])
        for turn, number in enumerate(repetitions):
            line = [group for group in groups if group["repetitions"] == number]
            if not line:
                continue
            step = min(0.2, 0.75 / len(repetitions))
            ys = [
                attacks.index(group["attack"])
                - panels.dodge(turn, len(repetitions), step, room=0.75)
                for group in line
            ]
            means = np.array([group["exact"]["mean"] for group in line])
            lower = np.array([group["exact"]["lower"] for group in line])
            upper = np.array([group["exact"]["upper"] for group in line])
            axis.errorbar(
                means,
                ys,
                xerr=np.vstack([means - lower, upper - means]).clip(min=0),
                label=f"R = {number}",
                elinewidth=1.1,
                markeredgecolor="#ffffff",
                **look(turn) | {"linestyle": "none"},
                clip_on=False,
            )
            names = [group["attack"] for group in line]
            measures = [group["exact"] for group in line]
            spoken.append(panels.spoken(f"{title}, R = {number}", names, measures))
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.set_xlim(-0.03, 1.03)
        axis.set_xticks(np.linspace(0, 1, 5), ["0 %", "25 %", "50 %", "75 %", "100 %"])
        first = panels.is_first(axis)
        labels = [f"{name}\n{count(cost[name])} evaluations" for name in attacks]
        axis.set_yticks(range(len(attacks)), labels if first else [""] * len(attacks))
        axis.set_ylim(-0.55, len(attacks) - 0.45)
        axis.grid(axis="x")
        axis.set_xlabel("reconstructed exactly")
        panels.subtitle(axis, panels.numbers_line(groups))
    panels.legend(figure, [axis for (axis,) in axes])
    caption = (
        f"Secrets reconstructed in full by each attack on the same targets ({condition}), by "
        "repetitions R, with 95 % intervals over models, best on top. Under each name, the median "
        "number of model evaluations that it spent on one secret."
    )
    title = "Attacks side by side"
    return Drawing("attacks", title, figure, caption, f"{title}. {' '.join(spoken)}")
