"""The page's table: one line a group of planted secrets, its controls beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modiva.report.glossary import GLOSSARY
from modiva.report.tables import pairs
from modiva.report.words import condition, percent, percent_range, short, target_name


@dataclass(frozen=True)
class Column:
    """A column's heading, what it means, and whether it sorts by number or filters by choice."""

    name: str
    title: str
    meaning: str
    numeric: bool


@dataclass(frozen=True)
class Cell:
    """What a cell shows, by what it sorts, and a rate's interval to draw (in percent)."""

    text: str
    sort: str
    note: str = ""
    bar: tuple[float, float, float] | None = None  # mean, lower, width


_COLUMNS = (
    Column("corpus", "Corpus", GLOSSARY["corpus"], False),
    Column("target", "Target", GLOSSARY["target"], False),
    Column("attack", "Attack", GLOSSARY["attack"], False),
    Column("defense", "Defense", GLOSSARY["defense"], False),
    Column("pattern", "Pattern", GLOSSARY["pattern"], False),
    Column("length", "Length", GLOSSARY["length"], True),
    Column("repetitions", "R", GLOSSARY["repetitions"], True),
    Column("exact", "Extracted", GLOSSARY["exact"], True),
    Column("controls", "Controls", "The same rate for secrets that were never planted.", True),
    Column("exposure", "Exposure", GLOSSARY["exposure"], True),
    Column("control_exposure", "Control exposure", "Exposure of the controls.", True),
    Column("position_accuracy", "Words right", GLOSSARY["position_accuracy"], True),
    Column("multiset", "Any order", GLOSSARY["multiset"], True),
    Column("top10", "First ten", GLOSSARY["top10"], True),
    Column("hamming", "Wrong words", GLOSSARY["hamming"], True),
    Column("epsilon", "ε", GLOSSARY["epsilon"], True),
    Column("group_epsilon", "Group ε", GLOSSARY["group_epsilon"], True),
    Column("test_accuracy", "Accuracy", GLOSSARY["test_accuracy"], True),
    Column("majority_accuracy", "Floor", GLOSSARY["majority_accuracy"], True),
    Column("n", "n", "Secrets scored.", True),
    Column("n_models", "Models", "Independently trained models.", True),
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


def columns_and_lines(
    summary: Sequence[Mapping[str, Any]],
) -> tuple[list[Column], list[list[Cell]], list[str]]:
    """Return columns, lines of cells, and what all lines have in common (and no column then)."""
    table = [_line(planted, control) for planted, control in pairs(summary)]
    columns, constant = [], []
    for column in _COLUMNS:
        texts = {line[column.name].text for line in table}
        if texts <= {"–"}:
            continue
        if len(texts) == 1 and len(table) > 1 and column.name in _MAY_BE_CONSTANT:
            constant.append(f"{column.title.lower()} {next(iter(texts))}")
        else:
            columns.append(column)
    return columns, [[line[column.name] for column in columns] for line in table], constant


def _line(planted: Mapping[str, Any] | None, control: Mapping[str, Any] | None) -> dict[str, Cell]:
    group: Any = planted or control
    own = planted or {}
    other = control or {}
    defended = condition(group["defense"], group["noise_multiplier"])
    private = group["noise_multiplier"] > 0 or group["epsilon"] is not None
    cells = {name: _text(group[name]) for name in ("corpus", "attack", "pattern")}
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
    for name in ("epsilon", "group_epsilon"):
        missing = "–" if private else "∞"
        value = group[name]
        cells[name] = Cell(missing, "1e999") if value is None else _number(value)
    return cells


def _text(value: Any) -> Cell:
    return Cell(str(value), str(value))


def _number(value: float | None, text: str | None = None) -> Cell:
    return Cell(short(value) if text is None else text, "" if value is None else f"{value:.6g}")


def _rate(measure: Mapping[str, Any] | None) -> Cell:
    if measure is None:
        return Cell("–", "")
    low, high = 100 * measure["lower"], 100 * measure["upper"]
    bar = (round(100 * measure["mean"], 1), round(low, 1), round(high - low, 1))
    return Cell(percent(measure["mean"]), f"{measure['mean']:.6g}", percent_range(measure), bar)


def _measure(measure: Mapping[str, Any] | None, digits: int) -> Cell:
    if measure is None:
        return Cell("–", "")
    known = measure["lower"] is not None
    note = f"{measure['lower']:.{digits}f}–{measure['upper']:.{digits}f}" if known else ""
    return Cell(f"{measure['mean']:.{digits}f}", f"{measure['mean']:.6g}", note)
