"""Sentences that a program holds: lists, data frames, data sets, alone or by split."""

from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from modiva.corpora.columns import Columns
from modiva.corpora.reading import Pair, RawCorpus, join_splits, parse_split
from modiva.corpora.tables import Table, class_name, read_table
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
    return join_splits(
        {
            str(split): read_table(table_of(data[key], f"{name}, {key}"), Path(name), columns)
            for split, key in splits.items()
        }
    )


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
            values, names = list(data[key]), classes.get(key)
            return values if names is None else [class_name(names, value) for value in values]

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


def insert(
    data: Any,
    order: Callable[[int], Sequence[int | Pair]],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
) -> Any:
    """Return data of the same form with further sentences in it; of splits, in train.

    Columns besides text and label are empty in what is new.

    Args:
        data: as `read` takes it.
        order: of the number of rows: which rows and which (text, label) follow each other.
        text_column: name of the column of texts; found by its name if not given.
        label_column: of the column of labels.

    Raises:
        ModivaError: as `read`, or a label that the column of labels cannot hold.
    """
    if isinstance(data, Mapping) and all(parse_split(str(key)) for key in data):
        train = next(key for key in data if parse_split(str(key)) == "train")
        chosen = {"text_column": text_column, "label_column": label_column}
        return type(data)({**data, train: insert(data[train], order, **chosen)})  # type: ignore[call-arg]
    table = table_of(data, "the data")
    places = Columns(text_column, label_column).places(
        table.header, "the data", "the data", table.numbered
    )
    text, label = table.header[places.text], table.header[places.intent]
    taken = order(len(table.column(places.text)))
    new = [pair for pair in taken if not isinstance(pair, int)]
    numbers = iter(range(len(taken) - len(new), len(taken)))
    index = [row if isinstance(row, int) else next(numbers) for row in taken]
    if hasattr(data, "features"):
        return _into_data_set(data, text, label, new, index)
    labels = _label_values(table.column(places.intent), [name for _, name in new])
    rows = {text: [words for words, _ in new], label: labels}
    if hasattr(data, "iloc"):
        import pandas as pd

        names = [data.columns[place] for place in (places.text, places.intent)]
        frame = pd.DataFrame(dict(zip(names, rows.values(), strict=True)))
        if set(labels) <= set(data[names[1]]):  # a column of categories holds no others
            frame = frame.astype({name: data.dtypes[name] for name in names})
        return pd.concat([data, frame]).iloc[index].reset_index(drop=True)
    if isinstance(data, Mapping):
        filled = {key: [*values, *rows.get(str(key), [None] * len(new))] for key, values in
                  data.items()}  # fmt: skip
        return {key: [values[place] for place in index] for key, values in filled.items()}
    pairs = zip(rows[text], labels, strict=True)
    more: list[Any]
    if isinstance(data[0], Mapping):
        more = [{text: words, label: value} for words, value in pairs]
    else:
        more = [type(data[0])(pair) for pair in pairs]
    return [([*data, *more])[place] for place in index]


def _into_data_set(data: Any, text: str, label: str, new: Sequence[Pair], index: list[int]) -> Any:
    from datasets import concatenate_datasets

    feature = data.features[label]
    if getattr(feature, "names", None):
        _check_known(feature.names, [name for _, name in new])
        values = [feature.str2int(name) for _, name in new]
    else:
        values = _label_values(list(data[label]), [name for _, name in new])
    empty = {name: [None] * len(new) for name in data.column_names}
    rows = {**empty, text: [words for words, _ in new], label: values}
    more = type(data).from_dict(rows, features=data.features)
    return concatenate_datasets([data, more]).select(index)


def _label_values(column: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Return labels as the column has them: whole numbers stay numbers."""
    known = {str(value).strip(): value for value in column}
    if not any(isinstance(value, str) for value in column):
        _check_known(known, names)
    return [known.get(name, name) for name in names]


def _check_known(known: Collection[str], names: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ModivaError(
                f"label {name!r} is not among the {len(known)} labels of the data, which are "
                "numbers: take one of them"
            )
