"""The files beside the page: rows as CSV, groups as JSON, and a short table for the terminal."""

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modiva.files import write_json, write_text
from modiva.measure import Group, as_frame
from modiva.measure import columns as measured
from modiva.report.words import (
    VIOLATED,
    bound,
    defense_order,
    handled,
    percent,
    percent_range,
    plural,
    target_name,
    trained,
)

# A spreadsheet runs a cell that begins so, also behind blanks and in the full-width forms of East
# Asian keyboards; the apostrophe makes it text (OWASP, CSV injection).
_FORMULA = re.compile(r"['\s]*[=+\-@\t\r\n＝＋－＠]")


def write_rows(path: Path, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as CSV, text that a spreadsheet would run quoted by a leading apostrophe.

    Columns have the order of `modiva.measure.columns`, and others come last. What is empty or not a
    number is an empty cell.
    """
    records = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
    found = rows.columns if isinstance(rows, pd.DataFrame) else _names(rows)
    known = [name for name in measured.COLUMNS if name in found]
    others = [name for name in found if name not in measured.COLUMNS]
    return _write_csv(path, records, [*known, *others])


def read_rows(path: Path) -> pd.DataFrame:
    """Read rows that `write_rows` wrote: text is text again ("0011" keeps its zeros)."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in frame.columns:
        texts = frame[name].map(lambda text: text[1:] if _is_quoted(text) else text)
        frame[name] = texts.replace("", None)
    return as_frame(frame)


def write_summary(path: Path, summary: Any) -> Path:
    """Write groups (or anything that holds them) as JSON; what is not a finite number is null."""
    return write_json(path, plain_json(summary))


def write_flat_summary(path: Path, summary: Sequence[Group]) -> Path:
    """Write groups as CSV, one line each; a measure takes the columns NAME, _lower and _upper."""
    lines = [
        {key: _short_number(value) for key, value in line.items()} for line in flatten(summary)
    ]
    return _write_csv(path, lines, _names(lines))


def flatten(summary: Sequence[Group]) -> list[dict[str, Any]]:
    """Return groups without nesting: a measure becomes NAME, NAME_lower and NAME_upper."""
    lines = []
    for group in summary:
        line: dict[str, Any] = {}
        for name, value in group.as_dict().items():
            if isinstance(value, Mapping):
                line[name] = value["mean"]
                line[f"{name}_lower"], line[f"{name}_upper"] = value["lower"], value["upper"]
            else:
                line[name] = value
        lines.append(line)
    return lines


def _names(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names in records, in order of appearance."""
    return list(dict.fromkeys(name for record in records for name in record))


def _short_number(value: Any) -> Any:
    """Return a number as a table shows it: six digits."""
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def _write_csv(path: Path, records: Any, columns: Sequence[str]) -> Path:
    text = _Lines()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([_cell(record.get(name)) for name in columns] for record in records)
    return write_text(path, "".join(text.lines))


class _Lines:
    """Takes lines that end in CR LF and ends them in LF.

    The writer quotes only those line ends that it makes itself, and a lone CR ends a line too.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line.removesuffix("\r\n") + "\n")


def console_table(summary: Sequence[Group]) -> str:
    """Return the groups of planted secrets, or of trained models, as a table for the terminal.

    Controls stand beside the planted. Where patterns were pooled only the pooled groups are shown.
    """
    groups = pooled(summary)
    if not groups:
        return "nothing was measured"
    attacked = "attack" in groups[0].key
    keys = [
        key
        for key in ("corpus", "target", "attack", "pattern", "length", "planting")
        if key in groups[0].key
    ]
    shown = [key for key in keys if len({group[key] for group in groups}) > 1]
    # Epsilon of one sentence does not cover a secret that stands in several.
    scored = ["R", "group epsilon", "extracted", "95 %", "controls"] if attacked else ["epsilon"]
    lines = [[*shown, "defense", *scored, "accuracy", "n"]]
    for planted, control in pairs(groups):
        group = first(planted, control)
        floor = group.majority_accuracy
        told = plural(group.n_models, "model")
        lines.append(
            [_name(group, key) for key in shown]
            + [defended(group)]
            + ([str(group["repetitions"])] if attacked else [])
            + [f"{bound(group)} {VIOLATED}" if planted and planted.violated else bound(group)]
            + (_extracted(planted, control) if attacked else [])
            + [
                (f"{group.test_accuracy.mean:.2f}" if group.test_accuracy else "–")
                + (f" (floor {floor:.2f})" if floor is not None else ""),
                f"{group.n} in {told}" if attacked else told,
            ]
        )
    constant = [f"{key} {_name(groups[0], key)}" for key in keys if key not in shown]
    return ", ".join(constant) + "\n" + "\n".join(_align(lines))


def _extracted(planted: Group | None, control: Group | None) -> list[str]:
    own, other = planted and planted.exact, control and control.exact
    return [
        percent(own.mean) if own else "–",
        percent_range(own) if own else "–",
        percent(other.mean) if other else "–",
    ]


def pooled(summary: Sequence[Group]) -> list[Group]:
    """Return the groups over all patterns where there are some, else every group."""
    groups = [group for group in summary if group.get("pattern") == "all"]
    return groups or list(summary)


def pairs(groups: Iterable[Group]) -> list[tuple[Group | None, Group | None]]:
    """Return each planted group with its controls; at R = 0 there is nothing but controls."""
    found: dict[tuple[Any, ...], dict[int, Group]] = {}
    for group in groups:
        same = tuple(value for name, value in group.key.items() if name != "planted")
        found.setdefault(same, {})[group.get("planted", 1)] = group
    pairs = [(pair.get(1), pair.get(0)) for pair in found.values()]
    return sorted(pairs, key=lambda pair: _order(first(*pair)))


def first(planted: Group | None, control: Group | None) -> Group:
    """Return the planted group of a pair, or its controls where nothing was planted."""
    group = planted or control
    assert group is not None
    return group


def defended(group: Group) -> str:
    """Return how the targets of a group were trained and defended."""
    return handled(group.key)


def _name(group: Group, key: str) -> str:
    return target_name(group[key]) if key == "target" else str(group[key])


def _order(group: Group) -> tuple[Any, ...]:
    named = [group.get(name, "") for name in ("corpus", "target", "attack", "pattern", "length")]
    defense = defense_order(group["defense"], group["noise_multiplier"])
    return (
        *named,
        defense,
        trained(group.key),
        group.get("repetitions", 0),
        group.get("planting", ""),
    )


def _align(lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _is_quoted(text: str) -> bool:
    return text.startswith("'") and _FORMULA.match(text) is not None


def _cell(value: Any) -> Any:
    """Return what stands in a CSV cell for a value."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) else value
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    return int(value) if isinstance(value, bool) else value


def setting_text(value: Any) -> str:
    """Return a setting as a reader writes it: lists by commas, the rest as JSON."""
    if isinstance(value, (list, tuple)) and not any(isinstance(item, Mapping) for item in value):
        return ", ".join(str(item) for item in value)
    plain = plain_json(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def plain_json(value: Any) -> Any:
    """Return a value as JSON has it; what is not a finite number is None."""
    if isinstance(value, Group):
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
