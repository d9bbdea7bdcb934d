"""The table of a report: one line a group of planted secrets, its controls beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modiva.report.glossary import GLOSSARY
from modiva.report.tables import pairs
from modiva.report.words import condition, percent, percent_range, short, target_name, visible

UNBOUNDED = 1e308  # sorts after every epsilon; JSON has no infinity


@dataclass(frozen=True)
class Column:
    """A column's heading, what it means, and whether it holds words, numbers or rates."""

    name: str
    title: str
    meaning: str
    kind: Literal["text", "number", "rate"]


@dataclass(frozen=True)
class Cell:
    """What a cell shows, by what it sorts (None is last), and the interval of a measure."""

    text: str
    value: float | str | None
    note: str = ""
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Table:
    """Columns, lines of cells, and what all lines have in common (and no column then)."""

    columns: tuple[Column, ...]
    lines: tuple[tuple[Cell, ...], ...]
    constant: tuple[str, ...]

    def named(self, names: Sequence[str]) -> "Table":
        """Return the table of those columns alone that are among `names`."""
        places = [n for n, column in enumerate(self.columns) if column.name in names]
        lines = tuple(tuple(line[place] for place in places) for line in self.lines)
        return Table(tuple(self.columns[place] for place in places), lines, self.constant)


_COLUMNS = (
    Column("corpus", "Corpus", GLOSSARY["corpus"], "text"),
    Column("target", "Target", GLOSSARY["target"], "text"),
    Column("attack", "Attack", GLOSSARY["attack"], "text"),
    Column("defense", "Defense", GLOSSARY["defense"], "text"),
    Column("pattern", "Pattern", GLOSSARY["pattern"], "text"),
    Column("length", "Length", GLOSSARY["length"], "number"),
    Column("repetitions", "R", GLOSSARY["repetitions"], "number"),
    Column("exact", "Extracted", GLOSSARY["exact"], "rate"),
    Column("controls", "Controls", "The same rate for secrets that were never planted.", "rate"),
    Column("group_epsilon", "Group ε", GLOSSARY["group_epsilon"], "number"),
    Column("epsilon", "ε, one sentence", GLOSSARY["epsilon"], "number"),
    Column("test_accuracy", "Accuracy", GLOSSARY["test_accuracy"], "number"),
    Column("majority_accuracy", "Floor", GLOSSARY["majority_accuracy"], "number"),
    Column("exposure", "Exposure", GLOSSARY["exposure"], "number"),
    Column("control_exposure", "Control exposure", "Exposure of the controls.", "number"),
    Column("position_accuracy", "Words right", GLOSSARY["position_accuracy"], "rate"),
    Column("multiset", "Any order", GLOSSARY["multiset"], "rate"),
    Column("top10", "First ten", GLOSSARY["top10"], "rate"),
    Column("hamming", "Wrong words", GLOSSARY["hamming"], "number"),
    Column("n", "n", "Secrets scored.", "number"),
    Column("n_models", "Models", "Independently trained models.", "number"),
)
_MAY_BE_CONSTANT = (
    "corpus",
    "target",
    "attack",
    "defense",
    "pattern",
    "length",
    "majority_accuracy",
)


def table_of(summary: Sequence[Mapping[str, Any]]) -> Table:
    """Return groups as the table that every report shows, least defended first."""
    lines = [_line(planted, control) for planted, control in pairs(summary)]
    columns, constant = [], []
    for column in _COLUMNS:
        texts = {line[column.name].text for line in lines}
        if texts <= {"–"}:
            continue
        if len(texts) == 1 and len(lines) > 1 and column.name in _MAY_BE_CONSTANT:
            constant.append(f"{column.title.lower()} {next(iter(texts))}")
        else:
            columns.append(column)
    shown = tuple(tuple(line[column.name] for column in columns) for line in lines)
    return Table(tuple(columns), shown, tuple(constant))


def _line(planted: Mapping[str, Any] | None, control: Mapping[str, Any] | None) -> dict[str, Cell]:
    group: Any = planted or control
    own = planted or {}
    other = control or {}
    defended = condition(group["defense"], group["noise_multiplier"])
    cells = {name: _text(group[name]) for name in ("corpus", "attack")}
    # `summarise` calls the groups over several patterns "all".
    cells["pattern"] = _text("all together" if group["pattern"] == "all" else group["pattern"])
    cells |= {"target": _text(target_name(group["target"])), "defense": _text(defended)}
    cells |= {name: _number(group[name]) for name in ("length", "repetitions", "n", "n_models")}
    cells |= {
        name: _rate(own.get(name)) for name in ("exact", "position_accuracy", "multiset", "top10")
    }
    cells["controls"] = _rate(other.get("exact"))
    cells["exposure"] = _measure(own.get("exposure"), 1)
    cells["control_exposure"] = _measure(other.get("exposure"), 1)
    cells["hamming"] = _measure(own.get("hamming"), 1)
    cells["test_accuracy"] = _measure(group["test_accuracy"], 2)
    floor = group["majority_accuracy"]
    cells["majority_accuracy"] = _number(floor, "–" if floor is None else f"{floor:.2f}")
    private = group["noise_multiplier"] > 0 or group["epsilon"] is not None
    cells["epsilon"] = _bound(group["epsilon"], unknown=private)
    # A group so large that its bound says nothing has none, beside a sentence that has one.
    cells["group_epsilon"] = _bound(
        group["group_epsilon"], unknown=private and group["epsilon"] is None
    )
    return cells


def _text(value: Any) -> Cell:
    text = visible(str(value))
    return Cell(text, text)


def _number(value: float | None, text: str | None = None) -> Cell:
    return Cell(short(value) if text is None else text, _digits(value))


def _bound(epsilon: float | None, *, unknown: bool) -> Cell:
    if epsilon is None:
        return Cell("–" if unknown else "∞", None if unknown else UNBOUNDED)
    return _number(epsilon)


def _rate(measure: Mapping[str, Any] | None) -> Cell:
    return _interval(measure, percent, percent_range)


def _measure(measure: Mapping[str, Any] | None, digits: int) -> Cell:
    return _interval(
        measure,
        lambda mean: f"{mean:.{digits}f}",
        lambda own: f"{own['lower']:.{digits}f}–{own['upper']:.{digits}f}",
    )


def _interval(
    measure: Mapping[str, Any] | None,
    mean: Callable[[float], str],
    interval: Callable[[Mapping[str, Any]], str],
) -> Cell:
    if measure is None:
        return Cell("–", None)
    known = measure["lower"] is not None and measure["upper"] is not None  # two models or more
    return Cell(
        mean(measure["mean"]),
        _digits(measure["mean"]),
        interval(measure) if known else "",
        _digits(measure["lower"]) if known else None,
        _digits(measure["upper"]) if known else None,
    )


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
