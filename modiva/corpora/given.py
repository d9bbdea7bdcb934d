"""Sentences that a program holds: lists, data frames, data sets, alone or by split."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from modiva.corpora.columns import Columns
from modiva.corpora.reading import RawCorpus, parse_split
from modiva.corpora.tables import Table, read_table
from modiva.errors import ModivaError

FORMS = (
    "a list of (text, label) pairs or of dictionaries, a pandas DataFrame, a datasets.Dataset, or "
    "a dictionary of these by split"
)


def read(data: Any, columns: Columns, name: str = "the data") -> RawCorpus:
    """Read pairs, records, a DataFrame or a Dataset; a mapping holds splits or columns.

    Args:
        data: a sequence of (text, label) or of mappings; what has `columns` and `iloc`; what has
            `column_names` and `features`; or a mapping of split names to these, or of column names
            to sequences.
        columns: which hold texts and intents.
        name: what an error calls the data.

    Raises:
        ModivaError: something else, splits without train, or columns that do not fit.
    """
    splits = {parse_split(str(key)): key for key in data} if isinstance(data, Mapping) else {}
    if not splits or None in splits:
        return read_table(table_of(data, name), Path(name), columns)
    if "train" not in splits or len(splits) < len(data):
        raise ModivaError(
            f"{name} has the splits {', '.join(map(str, data))}: give train, and at most one valid "
            "and one test"
        )
    read = {
        str(split): read_table(table_of(data[key], f"{name}, {key}"), Path(name), columns)
        for split, key in splits.items()
    }
    notes = dict.fromkeys(raw.note for raw in read.values())
    return RawCorpus({s: raw.splits["train"] for s, raw in read.items()}, " ".join(notes))


def table_of(data: Any, name: str) -> Table:
    """Return the columns of data without splits.

    Raises:
        ModivaError: data of another form.
    """
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return _columns([str(c) for c in data.columns], lambda place: data.iloc[:, place].tolist())
    if hasattr(data, "column_names") and hasattr(data, "features"):
        header = list(data.column_names)
        classes = {c: names for c in header if (names := getattr(data.features[c], "names", None))}

        def column(place: int) -> list[Any]:
            key = header[place]
            values = list(data[key])
            return [classes[key][v] if v is not None else v for v in values] if key in classes \
                else values  # fmt: skip

        return _columns(header, column, {header.index(c) for c in classes})
    if isinstance(data, Mapping) and data and all(_is_column(value) for value in data.values()):
        header, values = [str(key) for key in data], [list(value) for value in data.values()]
        if len({len(one) for one in values}) > 1:
            raise ModivaError(f"{name}: its columns {', '.join(header)} differ in length")
        return _columns(header, values.__getitem__)
    if _is_column(data):
        rows = list(data)
        if rows and all(isinstance(row, Mapping) for row in rows):
            keys = list(dict.fromkeys(key for row in rows for key in row))
            return _columns(keys, lambda place: [row.get(keys[place]) for row in rows])
        if rows and all(_is_column(row) and len(row) == 2 for row in rows):
            return _columns(["text", "intent"], lambda place: [row[place] for row in rows])
    raise ModivaError(f"{name} is {type(data).__name__}, with no texts and labels: give {FORMS}")


def _is_column(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _columns(header: Sequence[str], column: Any, classes: set[int] | None = None) -> Table:
    """Return a table; columns of class numbers count as numbers, whatever they are called."""

    def numbered(place: int) -> bool:
        if classes and place in classes:
            return True
        return all(isinstance(v, Integral) and not isinstance(v, bool) for v in column(place))

    return Table(header, column, numbered)
