"""The tables of a paper: booktabs, every name escaped."""

import re
from collections.abc import Sequence
from pathlib import Path

from modiva.files import write_text
from modiva.measure import Group, columns
from modiva.report.cells import MORE, Cell, Table, table_of
from modiva.report.tables import pooled
from modiva.report.words import base_defense, visible

PAGE = 45  # lines that fit on a page; a longer table goes over several
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "–": "--",
    "∞": r"$\infty$",
    "ε": r"$\varepsilon$",
    "σ": r"$\sigma$",
    "δ": r"$\delta$",
    "·": r"$\cdot$",
}
# Two hyphens would be a dash.
_LETTER = re.compile("|".join([*map(re.escape, _SPECIAL), "-(?=-)"]))


def escape(text: str) -> str:
    """Return text that LaTeX sets as it stands: no command, no comment, no end of a cell."""
    return _LETTER.sub(lambda match: _SPECIAL.get(match[0], match[0] + "{}"), _plain(text))


def write_latex(folder: Path, summary: Sequence[Group]) -> list[Path]:
    """Write extraction.tex and, where noise levels were compared, privacy.tex.

    Groups of trained models that were not attacked make accuracy.tex.
    Where patterns were pooled only the pooled groups are shown.

    Args:
        folder: where the files go.
        summary: groups, as `modiva.measure.summarise` makes them.
    """
    groups = pooled(summary)
    folder = Path(folder)
    if groups and groups[0].exact is None:
        return [_write(folder / "accuracy.tex", "Accuracy of the models.", table_of(groups))]
    said = "Planted secrets that came back whole, beside controls that were never planted."
    table = table_of(groups).without(*MORE, "epsilon", "majority_accuracy")
    written = [_write(folder / "extraction.tex", said, table)]
    private = _noise_levels(groups)
    if private:
        attack = private[0]["attack"]
        said = f"Extraction by the {attack} attack and accuracy, by noise multiplier of DP-SGD."
        table = table_of(private).without(*MORE, "attack", "n", "n_models")
        written.append(_write(folder / "privacy.tex", said, table))
    return written


def _noise_levels(groups: Sequence[Group]) -> list[Group]:
    """Return groups of the strongest attack, of the targets trained at several noise levels."""
    planted = [group for group in groups if group["planted"] and group.exact]
    levels: dict[tuple[str, ...], set[float]] = {}
    for group in planted:
        levels.setdefault(_target(group), set()).add(group["noise_multiplier"])
    attacks: dict[str, list[float]] = {}
    for group in planted:
        assert group.exact is not None
        attacks.setdefault(group["attack"], []).append(group.exact.mean)
    best = max(attacks, key=lambda name: sum(attacks[name]) / len(attacks[name]), default="")
    return [
        group
        for group in groups
        if group["attack"] == best and len(levels.get(_target(group), ())) > 1
    ]


def _target(group: Group) -> tuple[str, ...]:
    return group["corpus"], group["target"], base_defense(group["defense"])


def _write(path: Path, said: str, table: Table) -> Path:
    """Write one table, over several pages where it is long."""
    long = len(table.lines) > PAGE
    environment = "longtable" if long else "tabular"
    packages = "booktabs and longtable" if long else "booktabs"
    header = " & ".join(_heading(column) for column in table.columns) + r" \\"
    lines = [
        f"% {_plain(said)} Rates in percent, 95 % intervals in brackets.",
        f"% All lines: {_plain(', '.join(table.constant))}." if table.constant else "%",
        f"% Needs {packages}; names that are not Latin need LuaLaTeX or XeLaTeX.",
        rf"\begin{{{environment}}}{{{''.join(_side(column) for column in table.columns)}}}",
        r"\toprule",
        header,
        r"\midrule",
        *([r"\endhead"] if long else []),
        *(" & ".join(map(_cell, table.columns, line)) + r" \\" for line in table.lines),
        r"\bottomrule",
        rf"\end{{{environment}}}",
    ]
    return write_text(path, "\n".join(lines) + "\n")


def _heading(column: columns.Column) -> str:
    return escape(column.title) + (r" (\%)" if column.kind == "rate" else "")


def _side(column: columns.Column) -> str:
    return "l" if column.kind == "text" else "r"


def _cell(column: columns.Column, cell: Cell) -> str:
    note = f" [{cell.note}]" if cell.note else ""
    text = f"{cell.text}{note}"
    # The heading has the percent sign. A leading bracket would be an argument of the line before.
    text = text.replace(" %", "") if column.kind == "rate" else text
    return "{}" + escape(text) if text.startswith(("[", "*")) else escape(text)


def _plain(text: str) -> str:
    """Return text of one line without marks that fonts of LaTeX lack."""
    return "".join(
        "?" if "\u2400" <= letter <= "\u243f" or letter == "\ufffd" else letter
        for letter in visible(text)
    )
