"""The figures of a report: each one file, each drawn only when the rows hold something to draw."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from modiva.files import write_json
from modiva.report.plots.attacks import side_by_side
from modiva.report.plots.exposures import distributions
from modiva.report.plots.noise import by_noise
from modiva.report.plots.positions import by_position
from modiva.report.plots.repetitions import by_defense, by_pattern
from modiva.report.plots.style import STYLE, save
from modiva.report.words import prepare

CAPTIONS = "captions.json"
_DRAW = (by_defense, by_noise, by_pattern, distributions, by_position, side_by_side)


def figures(rows: pd.DataFrame | Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw what the rows hold as PNG and SVG, with `captions.json` beside them.

    Args:
        rows: as `modiva.measure.score_rows` makes them.
        folder: where the files go; made if needed.

    Returns:
        The files of figures in reading order, each figure's PNG before its SVG.
    """
    frame = prepare(rows)
    paths: list[Path] = []
    captions = {}
    if len(frame):
        with mpl.rc_context(STYLE):
            drawings = [drawing for draw in _DRAW if (drawing := draw(frame)) is not None]
        for drawing in drawings:
            paths += save(drawing, Path(folder))
            captions[drawing.name] = {
                "title": drawing.title,
                "caption": drawing.caption,
                "alt": drawing.alt,
            }
    write_json(Path(folder) / CAPTIONS, captions)
    return paths
