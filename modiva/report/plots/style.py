"""One look for every figure: safe for color-blind readers, legible in a column, the same bytes."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from modiva.files import write_bytes

# Okabe and Ito (2008) without the yellow, which vanishes on white; black is the ink.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (2, 1)), (0, (6, 1.5, 1.5, 1.5)), "-", "--")
# The page replaces these by colors that follow light and dark.
INK, MUTED, GRID, PAPER = "#1b1f24", "#59636f", "#dfe3e8", "#ffffff"
CONTROL = "#7b838c"
# Points: a figure of two panels in a column of 3.4 inches shrinks to three quarters.
TITLE_SIZE, NOTE_SIZE = 9, 7

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a name is a "$"
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "figure.facecolor": PAPER,
    "svg.fonttype": "path",
    "svg.hashsalt": "modiva",
}


@dataclass(frozen=True)
class Drawing:
    """A finished figure with the words that go with it."""

    name: str
    title: str
    figure: Figure
    caption: str
    alt: str


def look(number: int) -> dict[str, Any]:
    """Return color, marker and dashes of the n-th series: three ways to tell it from others."""
    turn = number % len(PALETTE)
    return {"color": PALETTE[turn], "marker": MARKERS[turn], "linestyle": DASHES[turn]}


def settle(figure: Figure) -> None:
    """Lay a figure out once and for all, and shrink panel titles that are wider than their panel.

    The layout is in shares of the figure, so every format may take the same one.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
        for axis in figure.axes:  # the solver's last digits are not the same every time
            left, bottom, width, height = (round(side, 5) for side in axis.get_position().bounds)
            axis.set_position((left, bottom, width, height))
    for axis in figure.axes:
        width = axis.get_window_extent().width
        for text in (child for child in axis.get_children() if isinstance(child, Text)):
            if text.get_fontweight() == "bold" and text.get_text():
                extent = text.get_window_extent()
                if extent.width > width:
                    shrunk = float(text.get_fontsize()) * width / extent.width
                    text.set_fontsize(max(shrunk, 5))


def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write NAME.png (300 dpi, white) and NAME.svg (transparent), the same bytes every time."""
    svg = save_svg(drawing, folder / f"{drawing.name}.svg")
    with mpl.rc_context(STYLE):
        data = _bytes(drawing.figure, "png", dpi=300, facecolor=PAPER, metadata={"Software": None})
    return [write_bytes(folder / f"{drawing.name}.png", data), svg]


def save_svg(drawing: Drawing, path: Path) -> Path:
    """Write a figure as SVG (transparent), the same bytes every time."""
    with mpl.rc_context(STYLE):
        settle(drawing.figure)
        metadata = {"Date": None, "Creator": None}
        return write_bytes(path, _bytes(drawing.figure, "svg", facecolor="none", metadata=metadata))


def _bytes(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()
