"""The table of a report: one line per group of planted secrets, with its controls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modiva.measure import Group, Interval
from modiva.measure import columns as measured
from modiva.report.tables import defended, first, pairs
from modiva.report.words import VIOLATED, percent, percent_range, share, short, target_name, visible

UNBOUNDED = 1e308  # sorts after every epsilon; JSON has no infinity


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

    columns: tuple[measured.Column, ...]
    lines: tuple[tuple[Cell, ...], ...]
    constant: tuple[str, ...]

    def without(self, *names: str) -> "Table":
        """Return the table without the columns of these names."""
        places = [n for n, column in enumerate(self.columns) if column.name not in names]
        lines = tuple(tuple(line[place] for place in places) for line in self.lines)
        return Table(tuple(self.columns[place] for place in places), lines, self.constant)


# Columns that the page shows on request.
MORE = (
    *("control_exposure", "position_accuracy", "multiset", "top10", "top10_bound", "hamming"),
    *("exposure_bound", "epsilon_lower", "copies_intact", "words_kept", "secret_group_epsilon"),
)
_SHOWN = (
    *("corpus", "target", "attack", "defense", "pattern", "length", "planting", "repetitions"),
    *(
        "exact",
        "exact_bound",
        "controls",
        "decoded",
        "group_epsilon",
        "epsilon",
        "test_accuracy",
        "valid_accuracy",
    ),
    *("train_accuracy", "majority_accuracy", "exposure", *MORE, "n", "n_models"),
)
_MAY_BE_CONSTANT = (*_SHOWN[:7], "majority_accuracy")


def table_of(summary: Sequence[Group]) -> Table:
    """Return groups as the table that every report shows, least defended first."""
    lines = [_line(planted, control) for planted, control in pairs(summary)]
    columns, constant = [], []
    for name in _SHOWN:
        column = measured.COLUMNS[name]
        texts = {line[name].text for line in lines}
        if texts <= {"–"}:
            continue
        if len(texts) == 1 and len(lines) > 1 and name in _MAY_BE_CONSTANT:
            constant.append(f"{column.title.lower()} {next(iter(texts))}")
        else:
            columns.append(column)
    shown = tuple(tuple(line[column.name] for column in columns) for line in lines)
    return Table(tuple(columns), shown, tuple(constant))


def _line(planted: Group | None, control: Group | None) -> dict[str, Cell]:
    group = first(planted, control)
    cells = {name: _text(group.get(name, "–")) for name in ("corpus", "attack", "planting")}
    # `summarise` calls the groups over several patterns "all".
    pattern = group.get("pattern", "–")
    cells["pattern"] = _text("all together" if pattern == "all" else pattern)
    cells |= {"target": _text(target_name(group["target"])), "defense": _text(defended(group))}
    cells |= {name: _number(group.get(name)) for name in ("length", "repetitions")}
    cells["n_models"] = _number(group.n_models)
    cells["n"] = _number(group.n if group.exact else None)
    for name in ("exact", "position_accuracy", "multiset", "top10", "decoded", "copies_intact"):
        cells[name] = _rate(getattr(planted, name, None))
    cells["controls"] = _rate(control.exact if control else None)
    cells["exposure"] = _measure(planted.exposure if planted else None, 1)
    cells["control_exposure"] = _measure(control.exposure if control else None, 1)
    cells["hamming"] = _measure(planted.hamming if planted else None, 1)
    cells["secret_group_epsilon"] = _number(group.secret_group_epsilon)
    for name in ("test_accuracy", "valid_accuracy", "train_accuracy", "words_kept"):
        cells[name] = _measure(getattr(group, name), 2)
    floor = group.majority_accuracy
    cells["majority_accuracy"] = _number(floor, "–" if floor is None else f"{floor:.2f}")
    private = group["noise_multiplier"] > 0 or group.epsilon is not None
    cells["epsilon"] = _bound(group.epsilon, unknown=private)
    # A group so large that its bound is void has none, beside a sentence that has one.
    unknown = group.exact is None or (private and group.epsilon is None)
    cells["group_epsilon"] = _bound(group.group_epsilon, unknown=unknown)
    lower = planted.epsilon_lower if planted else None
    cells["epsilon_lower"] = _number(lower)
    if planted and planted.violated:
        claim = cells["group_epsilon"]
        cells["group_epsilon"] = replace(claim, text=f"{claim.text} {VIOLATED}")
    for name in ("exact_bound", "top10_bound"):
        rate = getattr(group, name)
        cells[name] = _number(rate, "–" if rate is None else share(rate))
    bits = group.exposure_bound
    cells["exposure_bound"] = _number(bits, "–" if bits is None else f"{bits:.1f}")
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


def _rate(measure: Interval | None) -> Cell:
    return _interval(measure, percent, percent_range)


def _measure(measure: Interval | None, digits: int) -> Cell:
    return _interval(
        measure,
        lambda mean: f"{mean:.{digits}f}",
        lambda own: f"{own.lower:.{digits}f}–{own.upper:.{digits}f}",
    )


def _interval(
    measure: Interval | None, mean: Callable[[float], str], interval: Callable[[Interval], str]
) -> Cell:
    if measure is None:
        return Cell("–", None)
    text, value = mean(measure.mean), _digits(measure.mean)
    if not measure.known:  # of one model
        return Cell(text, value)
    return Cell(text, value, interval(measure), _digits(measure.lower), _digits(measure.upper))


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
