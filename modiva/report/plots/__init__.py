"""The figures of a report: each one file, each drawn only when the rows hold something to draw."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from modiva.files import write_json
from modiva.report.groups import drawn as groupings_drawn
from modiva.report.plots._headless import mpl
from modiva.report.plots.attacks import side_by_side
from modiva.report.plots.epsilons import by_claim
from modiva.report.plots.exposures import distributions
from modiva.report.plots.groups import by_group
from modiva.report.plots.membership import by_membership
from modiva.report.plots.noise import by_epsilon, by_noise
from modiva.report.plots.positions import by_position
from modiva.report.plots.protection import by_text_epsilon
from modiva.report.plots.repetitions import by_defense, by_pattern
from modiva.report.plots.rounds import by_round
from modiva.report.plots.seen import by_seen
from modiva.report.plots.shares import by_share
from modiva.report.plots.style import STYLE, save, save_svg
from modiva.report.words import prepare

CAPTIONS = "captions.json"
NARROW = ".narrow.svg"  # the same figure with its panels below each other, for the page on a phone
_DRAW = (
    by_defense, by_noise, by_epsilon, by_claim, by_text_epsilon, by_pattern, by_seen,
    by_share, distributions, by_position, side_by_side,
)  # fmt: skip


def figures(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    folder: Path,
    others: Mapping[str, pd.DataFrame] | None = None,
) -> list[Path]:
    """Draw what the rows hold as PNG and SVG, with `captions.json` beside them.

    Args:
        rows: as `modiva.measure.score_rows` makes them.
        folder: where the files go; made if needed.
        others: rows of other measurements (membership, groups, models), as `prepare` makes
            them.

    Returns:
        The files of figures in reading order, each figure's PNG before its SVG. A figure with
        panels side by side has also a NAME.narrow.svg, with the panels below each other.
    """
    frame = prepare(rows)
    paths: list[Path] = []
    captions = {}
    attacked = len(frame) and "attack" in frame
    drawn: list[tuple[Any, pd.DataFrame]] = [(draw, frame) for draw in _DRAW if attacked]
    others = others or {}
    if len(pools := others.get("membership", frame[:0])):
        drawn.append((by_membership, pools))
    if len(models := others.get("models", frame[:0])):
        drawn.append((by_round, models))
    if len(groups := others.get("groups", frame[:0])):
        several = range(len(groupings_drawn(groups)))
        drawn += [(partial(by_group, rows=frame, number=number), groups) for number in several]
    with mpl.rc_context(STYLE):
        for draw, table in drawn:
            drawing = draw(table)
            if drawing is None:
                continue
            paths += save(drawing, Path(folder))
            if len({axis.get_position().x0 for axis in drawing.figure.axes}) > 1:
                narrow = draw(table, across=1)
                assert narrow is not None
                save_svg(narrow, Path(folder) / f"{drawing.name}{NARROW}")
            captions[drawing.name] = {
                "title": drawing.title,
                "caption": drawing.caption,
                "alt": drawing.alt,
            }
    write_json(Path(folder) / CAPTIONS, captions)
    return paths
