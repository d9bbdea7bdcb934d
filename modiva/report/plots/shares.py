"""Figure: whom federated training exposes, by a device's share of the sentences."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from modiva.handling import SEEN
from modiva.measure import summarise
from modiva.report.answer import exact
from modiva.report.plots import axes, panels
from modiva.report.plots.style import Drawing, look
from modiva.report.words import percent, strongest_attack

_BINS = 4
_APART = 2.0  # shares of devices of one size differ less


def by_share(frame: pd.DataFrame, across: int = panels.ACROSS) -> Drawing | None:
    """Draw extraction over the share of its device, one line per selection; devices must differ.

    One panel per number of periods, of what is seen most closely; below, the rounds in which the
    devices took part.
    """
    if "device_share" not in frame:
        return None
    frame = frame[frame["device_share"].notna() & (frame["noise_multiplier"] == 0)]
    planted = frame[frame["planted"] == 1] if len(frame) else frame
    kinds = [name for name in SEEN if (planted["seen"] == name).any()] if len(planted) else []
    if not kinds:
        return None
    frame = frame[frame["seen"] == kinds[-1]]
    partition = planted.groupby("partition")["device_share"].agg(lambda own: own.max() / own.min())
    if partition.max() < _APART:
        return None
    frame = frame[frame["partition"] == partition.idxmax()]
    attack = strongest_attack(frame)
    frame = frame[frame["attack"] == attack]
    edges = np.quantile(np.log(frame["device_share"]), np.linspace(0, 1, _BINS + 1))
    frame = frame.assign(bin=np.digitize(np.log(frame["device_share"]), edges[1:-1]))
    planted = frame[frame["planted"] == 1]
    middle = np.exp(np.log(planted["device_share"]).groupby(planted["bin"]).mean())
    places = {int(number): float(np.log10(share)) for number, share in middle.items()}
    cells, left_out = panels.limited(
        list(
            planted[["corpus", "target", "periods"]]
            .drop_duplicates()
            .itertuples(index=False, name=None)
        ),
        4,
    )
    title = "Extraction by a device's share of the sentences"
    sheet = panels.Sheet(title, len(cells), len(cells), stacked=(1, 0.6), height=2.9, across=across)
    spoken: list[str] = []
    shown = []
    per_line = planted.groupby(["corpus", "target", "periods", "selection", "bin"])
    most = float(per_line["device_rounds"].mean().max())
    for cell, (rates, taken) in zip(cells, sheet.panels, strict=True):
        name = panels.facet_title(frame, cell[:2])
        name += ", static" if cell[2] == 1 else f", {cell[2]:g} periods"
        axes.name_panel(rates, name)
        axes.rate_axis(rates, "extracted")
        part = planted[(planted[["corpus", "target", "periods"]] == list(cell)).all(axis=1)]
        lines = []
        for turn, selection in enumerate(panels.some(list(dict.fromkeys(part["selection"])))):
            own = part[part["selection"] == selection]
            groups = summarise(own, ["bin"])
            shown += groups
            xs = [places[group["bin"]] for group in groups]
            names = [_tick(middle[group["bin"]]) for group in groups]
            measures = [exact(group) for group in groups]
            label = f"{selection} selection"
            lines.append(panels.Line(label, xs, names, measures, look(turn)))
            rounds = own.groupby("bin")["device_rounds"].mean()
            style = look(turn)
            taken.plot([places[number] for number in rounds.index], rounds,
                       clip_on=False, **style)  # fmt: skip
            told = [f"{own:.1f} at {_tick(middle[at])}" for at, own in rounds.items()]
            spoken.append(f"{name}, {label}, rounds: {', '.join(told)}.")
        chance = sheet.chance(rates, part)
        width = max(places.values()) - min(places.values())
        spoken += sheet.lines(rates, lines, chance, panel=name, step=0.03 * width)
        for axis in (rates, taken):
            axis.set_xlim(min(places.values()) - 0.12 * width, max(places.values()) + 0.12 * width)
            axis.set_xticks(list(places.values()), [_tick(middle[number]) for number in places])
        rates.tick_params(axis="x", labelbottom=False)
        taken.set_xlabel("device's share of all sentences")
        taken.set_ylim(0, 1.08 * most)
        taken.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        taken.tick_params(axis="y", length=0, labelleft=axes.is_first(taken))
        taken.spines["left"].set_visible(False)
        if axes.is_first(taken):
            taken.set_ylabel("rounds with\nthe device")
        luck = summarise(frame[(frame["planted"] == 0) & (frame["periods"] == cell[2])], ["bin"])
        sheet.controls(rates, [places[group["bin"]] for group in luck], list(map(exact, luck)))
    note = (
        f"Secrets named first by {attack} from what is seen ({kinds[-1]}), by the share of their "
        f"device; {_BINS} classes of as many devices each. {panels.models_note(shown)}"
        f"{sheet.unclear_note()} Below, the mean number of rounds in which the device took "
        f"part.{left_out}"
    )
    about = panels.subject(frame, f"partition {partition.idxmax()}", groups=shown)
    figure = sheet.finish(about, note)
    return Drawing("extraction_by_share", title, figure, note, f"{title}. {' '.join(spoken)}")


def _tick(share: float) -> str:
    return percent(share) if share >= 0.095 else f"{100 * share:.1f} %"
