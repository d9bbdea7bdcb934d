"""The report as Markdown: for a repository, a pull request or a mail."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from modiva.files import write_text
from modiva.measure import Group
from modiva.report import glossary
from modiva.report.answer import Answer, answer, level_sentence
from modiva.report.cells import MORE, Table, table_of
from modiva.report.plots import CAPTIONS
from modiva.report.sides import side_by_side
from modiva.report.tables import pooled, setting_text
from modiva.report.words import prepare, visible

LINES = 200  # of a table; all of them are in summary.csv
SIDES = 40
_SPECIAL = re.compile(r"[\\`*_\[\]|~$#]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def escape(text: str) -> str:
    """Return text that Markdown, HTML and GitHub's links and mentions leave as it is."""
    text = "".join(_ENTITIES.get(letter, letter) for letter in visible(text))
    text = _SPECIAL.sub(lambda match: "\\" + match[0], text)
    return text.replace("://", "&#58;//").replace("www.", "www&#46;")


def write_markdown(
    folder: Path,
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    summary: Sequence[Group],
    settings: Mapping[str, Any],
) -> Path:
    """Write `folder`/report.md; it shows the PNGs of `folder`/figures where they are.

    Args:
        folder: where the file goes.
        rows: as `modiva.measure.score_rows` makes them.
        summary: groups, as `modiva.measure.summarise` makes them.
        settings: what was run; `title` and `command` have places of their own.
    """
    frame = prepare(rows)
    parts = [f"*modiva · {escape(str(settings.get('title', 'What came back out')))}*"]
    parts += _answer(answer(frame)) if len(frame) else ["# Nothing was measured."]
    parts += _figures(Path(folder) / "figures")
    parts += ["## Every cell", *_cells(table_of(pooled(summary)))]
    parts += _sides(frame)
    parts += ["## Threat model", _bullets(glossary.THREAT_MODEL), "## Settings"]
    if settings.get("command"):
        parts += ["This command makes the run again:", _fenced(str(settings["command"]))]
    shown = [
        [escape(key), escape(setting_text(value))]
        for key, value in settings.items()
        if key not in ("title", "command")
    ]
    parts += [_table(["setting", "value"], shown)] if shown else []
    parts += ["## What these numbers do and do not say", _bullets(glossary.NOTES)]
    return write_text(Path(folder) / "report.md", "\n\n".join(parts) + "\n")


def _answer(said: Answer) -> list[str]:
    parts = [f"# {escape(said.headline)}", *(escape(line) for line in said.sentences)]
    if said.private:
        noisy = [level for level in said.private if level["noise_multiplier"]]
        parts.append(_bullets([escape(level_sentence(level)) for level in noisy]))
    if said.warnings:
        parts += ["**Read with care**", _bullets([escape(line) for line in said.warnings])]
    return parts


def _figures(folder: Path) -> list[str]:
    captions = folder / CAPTIONS
    if not captions.is_file():
        return []
    parts = ["## Figures"]
    for name, words in json.loads(captions.read_text(encoding="utf-8")).items():
        parts += [
            f"### {escape(words['title'])}",
            f"![{escape(words['title'])}](figures/{name}.png)",
            escape(words["caption"]),
        ]
    return parts if len(parts) > 1 else []


def _cells(table: Table) -> list[str]:
    table = table.without(*MORE)
    said = [f"All lines: {escape(', '.join(table.constant))}."] if table.constant else []
    if len(table.lines) > LINES:
        said.append(f"The first {LINES} of {len(table.lines):,} lines; all are in summary.csv.")
    lines = [
        [escape(f"{cell.text} ({cell.note})" if cell.note else cell.text) for cell in line]
        for line in table.lines[:LINES]
    ]
    right = [column.kind != "text" for column in table.columns]
    return [*said, _table([column.title for column in table.columns], lines, right)]


def _sides(frame: pd.DataFrame) -> list[str]:
    sides = side_by_side(frame)
    if sides is None:
        return []
    shown = sides.sides[:SIDES]
    header = ["target", "pattern", "R", "planted", "reconstructed", "rank"]
    lines = []
    for side in shown:
        words = [f"**{escape(w)}**" if right else f"~~{escape(w)}~~" for w, right in side.words]
        plain = (side.where, side.pattern, str(side.repetitions), side.secret)
        lines.append([*map(escape, plain), " ".join(words), side.rank])
    return [
        "## Reconstructions beside the truth",
        f"All secrets are synthetic. The first models of every cell, in the order they ran, not "
        f"picked by outcome: {len(shown)} of {sides.total:,}, by the {escape(sides.attack)} "
        "attack. Right words are bold, wrong ones struck out.",
        _table(header, lines),
    ]


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(
    header: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[bool] | None = None
) -> str:
    rule = ["--:" if number else "---" for number in right or [False] * len(header)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *lines])


def _fenced(text: str) -> str:
    """Return a code block that no run of backticks inside it can end."""
    runs = [len(run) for run in re.findall(r"`+", text)]
    fence = "`" * max(3, *(run + 1 for run in runs), 3)
    return f"{fence}sh\n{visible(text)}\n{fence}"
