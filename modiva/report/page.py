"""The page: one HTML file that holds everything it shows and asks the network for nothing."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from modiva.files import write_text
from modiva.report import glossary
from modiva.report.answer import answer
from modiva.report.cells import columns_and_lines
from modiva.report.plots import CAPTIONS
from modiva.report.plots.style import GRID, INK, MUTED, PALETTE, PAPER
from modiva.report.sides import side_by_side
from modiva.report.tables import plain_json
from modiva.report.words import prepare

_PAGE_COLORS = {
    PALETTE[0].lower(): "var(--blue)",
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    PAPER: "var(--card)",
}


def write_report(
    folder: Path,
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    summary: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    figures: Sequence[Path],
) -> Path:
    """Write `folder`/report.html and return its path.

    Args:
        folder: where the page goes.
        rows: as `modiva.measure.score_rows` makes them.
        summary: groups, as `modiva.measure.summarise` makes them.
        settings: what was run, shown as it is; `title` and `command` (what reproduces the run) have
            places of their own.
        figures: what `figures` returned; its captions lie beside the files.
    """
    frame = prepare(rows)
    shown = {key: value for key, value in settings.items() if key not in ("title", "command")}
    script = _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    columns, lines, constant = columns_and_lines(summary)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["together"] = _together
    page = environment.from_string(_resource("page.html")).render(
        title=settings.get("title", "What came back out"),
        command=settings.get("command"),
        answer=answer(frame) if len(frame) else None,
        figures=_figures(figures),
        columns=columns,
        lines=lines,
        constant=constant,
        sides=side_by_side(frame),
        threat_model=glossary.THREAT_MODEL,
        notes=glossary.NOTES,
        glossary={name: text for name, text in glossary.GLOSSARY.items() if name in frame},
        settings={key: _setting(value) for key, value in shown.items()},
        style=Markup(_resource("page.css")),
        script=Markup(script),
        digest=digest,
        data=_data_link(summary),
    )
    return write_text(Path(folder) / "report.html", page)


def _together(text: str) -> str:
    """Return a sentence in which a number is not parted from its sign or symbol at a line end."""
    return text.replace(" %", "\u00a0%").replace(" = ", "\u00a0=\u00a0")


def _resource(name: str) -> str:
    return (files("modiva.report") / name).read_text(encoding="utf-8")


def _figures(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return every SVG among the paths with its words, ready to be put in the page."""
    drawn = []
    for number, path in enumerate(path for path in paths if path.suffix == ".svg"):
        captions = json.loads((path.parent / CAPTIONS).read_text(encoding="utf-8"))
        svg = inline_svg(path.read_text(encoding="utf-8"), f"figure{number}-")
        drawn.append({"name": path.stem, "svg": svg, **captions[path.stem]})
    return drawn


def inline_svg(svg: str, prefix: str) -> Markup:
    """Return a figure's SVG for use inside a page, in the page's colors.

    Args:
        svg: a file that `figures` wrote.
        prefix: put before every id, so that figures do not borrow each other's parts.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}', svg).replace("url(#", f"url(#{prefix}")
    for color, variable in _PAGE_COLORS.items():
        svg = svg.replace(color, variable)
    # The size in points stays as the natural width; the page scales from the view box.
    width = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    natural = f"--natural: {float(width[1]) * 4 / 3:.0f}px" if width else ""
    svg = re.sub(
        r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', rf'<svg \1 style="{natural}">', svg, count=1
    )
    return Markup(svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))


def _setting(value: Any) -> str:
    """Return a setting as a reader writes it: lists by commas, the rest as JSON."""
    if isinstance(value, (list, tuple)) and not any(isinstance(item, Mapping) for item in value):
        return ", ".join(str(item) for item in value)
    plain = plain_json(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _data_link(summary: Sequence[Mapping[str, Any]]) -> str:
    """Return the groups as a link that saves them: the page may travel without its folder."""
    text = json.dumps(plain_json(summary), ensure_ascii=False, separators=(",", ":"))
    return "data:application/json;base64," + base64.b64encode(text.encode()).decode()
