"""Figure: extraction by what an attacker sees of federated training."""

import pandas as pd

from modiva.handling import SEEN
from modiva.measure import Group, Interval, summarise
from modiva.report.answer import exact
from modiva.report.plots import axes, panels
from modiva.report.plots.style import Drawing, look
from modiva.report.words import least_defended

_CELL = ["corpus", "target", "attack", "seen"]
_FEDERATION = (
    *("training", "partition", "selection", "per_round", "periods", "defense"),
    *("noise_multiplier", "repetitions"),
)


def by_seen(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw the rate of extraction by what is seen, one line per attack; needs two kinds."""
    if "seen" not in frame:
        return None
    frame = _least_protected(frame[frame["seen"].notna()])
    planted = frame[frame["planted"] == 1] if len(frame) else frame
    kinds = [name for name in SEEN if (planted["seen"] == name).any()] if len(frame) else []
    if len(kinds) < 2:
        return None
    cells, left_out = panels.limited(panels.facets(planted))
    attacks = panels.some(list(dict.fromkeys(planted["attack"])))
    places = [float(place) for place in range(len(kinds))]
    title = "Extraction by what is seen of the training"
    sheet = panels.Sheet(title, len(cells), len(cells), across=across)
    rates = {_key(group): exact(group) for group in summarise(planted, _CELL)}
    controls = frame[frame["planted"] == 0].assign(attack="any")
    luck = {_key(group): exact(group) for group in summarise(controls, _CELL)}
    spoken: list[str] = []
    shown: list[Interval] = []
    for cell, (axis,) in zip(cells, sheet.panels, strict=True):
        part = planted[(planted[["corpus", "target"]] == list(cell)).all(axis=1)]
        name = panels.facet_title(frame, cell)
        axes.name_panel(axis, name)
        axes.rate_axis(axis, "extracted")
        axis.set_xticks(places, kinds)
        axis.set_xlim(-0.5, len(kinds) - 0.5)
        axis.set_xlabel("what the attacker sees")
        lines = []
        for turn, attack in enumerate(attacks):
            found = [(p, k) for p, k in zip(places, kinds, strict=True)
                     if (*cell, attack, k) in rates]  # fmt: skip
            own = [rates[*cell, attack, kind] for _, kind in found]
            shown += own
            named = [f"{kind} seen" for _, kind in found]
            lines.append(panels.Line(attack, [p for p, _ in found], named, own, look(turn)))
        chance = sheet.chance(axis, part)
        spoken += sheet.lines(axis, lines, chance, panel=name, step=0.09)
        band = [luck[*cell, "any", kind] for kind in kinds if (*cell, "any", kind) in luck]
        if len(band) == len(kinds):
            sheet.controls(axis, places, band)
    note = (
        "Secrets named first, by attack. final: the trained model; rounds: all global models; "
        "aggregate: averages of the rounds in which the secret's device took part; update: what "
        f"that device sent. {panels.models_note(shown)}{sheet.unclear_note()} The band is the "
        f"95 % interval of controls, all attacks together.{left_out}"
    )
    figure = sheet.finish(panels.subject(frame, groups=shown), note)
    return Drawing("extraction_by_seen", title, figure, note, f"{title}. {' '.join(spoken)}")


def _least_protected(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one federation: those that differ from the first in what is seen alone."""
    if frame.empty:
        return frame
    first = frame[frame["condition"] == least_defended(frame)].iloc[0]
    for name in _FEDERATION:
        frame = frame[frame[name] == first[name]]
    return frame


def _key(group: Group) -> tuple[str, ...]:
    return tuple(str(group[name]) for name in _CELL)
