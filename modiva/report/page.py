"""The page: one HTML file that holds everything it shows and loads nothing from the network."""

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
from modiva.measure import Group, columns
from modiva.report import glossary, groups, members, names
from modiva.report.answer import answer
from modiva.report.cells import MORE, Cell, Table, table_of
from modiva.report.plots import CAPTIONS, NARROW
from modiva.report.plots.panels import INNER
from modiva.report.plots.style import GRID, INK, MUTED, PALETTE, PAPER
from modiva.report.sides import side_by_side
from modiva.report.tables import setting_text
from modiva.report.words import count, percent, percent_range, prepare, short, visible
from modiva.version import __version__

LINES = 50  # of the table that stand in the page itself; the script makes the others
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
    summary: Sequence[Group],
    settings: Mapping[str, Any],
    figures: Sequence[Path],
    others: Mapping[str, pd.DataFrame] | None = None,
) -> Path:
    """Write `folder`/report.html and return its path.

    Args:
        folder: where the page goes.
        rows: as `modiva.measure.score_rows` makes them.
        summary: groups, as `modiva.measure.summarise` makes them.
        settings: what was run, shown as it is; `title` and `command` (what reproduces the run) have
            places of their own.
        figures: what `figures` returned; its captions lie beside the files.
        others: rows of other measurements (membership, groups), as `prepare` makes them.
    """
    frame = prepare(rows)
    others = others or {}
    shown = {key: value for key, value in settings.items() if key not in ("title", "command")}
    script = resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    table = table_of(summary)
    page = render(
        "page.html",
        title=settings.get("title", "What came back out"),
        command=settings.get("command"),
        attacked="attack" in frame,
        answer=answer(frame, others) if len(frame) else None,
        figures=_figures(figures),
        table=Table(table.columns, table.lines[:LINES], table.constant),
        total=len(table.lines),
        more=any(column.name in MORE for column in table.columns),
        sides=side_by_side(frame),
        members=members.table(others["membership"]) if _any(others, "membership") else None,
        headings=members.HEADINGS,
        groups=groups.table(others["groups"]) if _any(others, "groups") else None,
        group_headings=groups.HEADINGS,
        names=names.table(others["names"]) if _any(others, "names") else None,
        name_headings=names.HEADINGS,
        threat_model=glossary.THREAT_MODEL,
        notes=glossary.NOTES,
        glossary={name: own.meaning for name, own in columns.COLUMNS.items() if name in frame},
        settings={key: setting_text(value) for key, value in shown.items()},
        script=Markup(script),
        digest=digest,
        data=_data(table),
    )
    return write_text(Path(folder) / "report.html", page)


def _any(others: Mapping[str, pd.DataFrame], kind: str) -> bool:
    return kind in others and len(others[kind]) > 0


def render(name: str, **values: Any) -> str:
    """Return a page: everything is escaped, and control characters are marks.

    Args:
        name: of the template, a file of this package.
        values: that it shows, beside the style and the version.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        loader=jinja2.FunctionLoader(resource),
    )
    environment.filters |= {
        "together": _together,
        "classes": _classes,
        "count": count,
        "percent": percent,
        "range": percent_range,
        "bound": lambda epsilon: "∞" if epsilon is None else short(epsilon),
    }
    style = Markup(resource("page.css"))
    return environment.get_template(name).render(style=style, version=__version__, **values)


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _classes(column: columns.Column) -> str:
    """Return a column's classes: words or numbers, a rate, and whether it is shown on request."""
    kind = {"text": "text", "number": "number", "rate": "number rate"}[column.kind]
    return f"{kind} more" if column.name in MORE else kind


def _together(text: str) -> str:
    """Return a sentence in which a number is not parted from its sign or symbol at a line end."""
    return text.replace(" %", "\u00a0%").replace(" = ", "\u00a0=\u00a0")


def resource(name: str) -> str:
    """Return a text file of this package."""
    return (files("modiva.report") / name).read_text(encoding="utf-8")


def _figures(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return every SVG among the paths with its words, ready to be put in the page."""
    drawn = []
    for number, path in enumerate(path for path in paths if path.suffix == ".svg"):
        captions = json.loads((path.parent / CAPTIONS).read_text(encoding="utf-8"))
        svg = inline_svg(path.read_text(encoding="utf-8"), f"figure{number}-")
        narrow = path.with_name(f"{path.stem}{NARROW}")
        small = None
        if narrow.is_file():
            small = inline_svg(narrow.read_text(encoding="utf-8"), f"figure{number}n-")
        drawn.append({"name": path.stem, "svg": svg, "narrow": small, **captions[path.stem]})
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
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if size:
        width, top, bottom = float(size[1]), 0.0, float(size[2])
        inner = re.search(rf'id="{prefix}{INNER}-(\d+)-(\d+)"', svg)
        if inner:  # title and note are the page's own
            top, bottom = float(inner[1]), float(inner[2])
        box = f'viewBox="0 {top:g} {width:g} {bottom - top:g}"'
        natural = f"--natural: {width * 4 / 3:.0f}px"
        svg = re.sub(r"<svg [^>]*>", f'<svg {box} style="{natural}">', svg, count=1)
    return Markup(svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))


def _data(table: Table) -> Markup:
    """Return the table as JSON for the script: every different cell once, then lines of places.

    A grid repeats itself: ten thousand lines take about a megabyte so, and the page makes elements
    of those lines only that it shows.
    """
    columns = []
    for place, column in enumerate(table.columns):
        found: dict[Any, int] = {}
        lines = [found.setdefault(_plain(line[place]), len(found)) for line in table.lines]
        about = {"name": column.name, "title": column.title, "kind": column.kind}
        columns.append({**about, "cells": list(found), "lines": lines})
    text = json.dumps({"columns": columns}, ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only these could end it or begin a comment.
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _plain(cell: Cell) -> tuple[Any, ...]:
    return cell.text, cell.value, cell.note, cell.lower, cell.upper
