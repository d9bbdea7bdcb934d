"""Tables of the user: CSV, TSV or JSON lines with a column of texts and one of intents."""

import csv
import functools
import io
import json
import logging
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

from modiva.corpora.columns import Columns, has_both
from modiva.corpora.reading import Pair, RawCorpus, lines_of, pair, split_paths
from modiva.errors import ModivaError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".arrow")
logger = logging.getLogger(__name__)

_QUOTED = re.compile(r'"(?:[^"]|"")*"')


class _Row(NamedTuple):
    """One record of a delimited file and the physical lines (from 1, inclusive) it stands on."""

    first: int
    last: int
    fields: list[str]


class Table(NamedTuple):
    """Columns by place: their names, their values, and whether they hold whole numbers alone."""

    header: Sequence[str]
    column: Callable[[int], Sequence[Any]]
    numbered: Callable[[int], bool]


def matches(folder: Path) -> bool:
    """Return whether `folder` holds files named after splits."""
    return bool(split_files(folder))


def files(folder: Path) -> list[Path]:
    """Return the files of `folder` that are read: one per split."""
    return sorted(split_files(folder).values())


def split_files(folder: Path) -> dict[str, Path]:
    """Find files named after splits (train.csv, dev.tsv, test.jsonl ...) in `folder`, by split."""
    found = (path for path in folder.iterdir() if path.is_file() and path.suffix in SUFFIXES)
    return split_paths(found, folder)


def read_delimited(text: str, path: Path, columns: Columns) -> RawCorpus:
    """Read a CSV or TSV file with a header; the delimiter is the one that finds both columns.

    In a file with tabs every line is a row where all lines fit the header. Quotes then stand for
    themselves, unless every field that begins with one also ends with it.

    Args:
        text: content of the file.
        path: what an error calls it.
        columns: which hold texts and intents.

    Raises:
        ModivaError: a missing column, several that could be meant, a row that does not fit the
            header, or quotes that would make one row of several.
    """
    lines = lines_of(text)
    first = next((line for line in lines if line.strip()), "")
    tried = {d: _header(first, d) for d in "\t,;"}
    fits = [d for d, header in tried.items() if has_both(header)]
    delimiter = fits[0] if fits else max("\t,;", key=lambda d: len(tried[d]))
    if not first:
        return RawCorpus({"train": []})

    @functools.cache
    def parse() -> tuple[list[_Row], str]:
        literal = _literal(lines) if delimiter == "\t" else None
        return literal or (list(_quoted(text, delimiter, path)), "")

    def numbered(place: int) -> bool:
        return all(
            row.fields[place].strip().isdecimal()
            for row in parse()[0][1:]
            if place < len(row.fields)
        )

    places = columns.places(tried[delimiter], f"{path}, header", str(path), numbered)
    rows, note = parse()
    width = len(rows[0].fields)
    for row in rows[1:]:
        if len(row.fields) != width:
            raise ModivaError(
                f"{path}, line {row.last}: {len(row.fields)} fields, but the header has {width}: "
                f"put quotes around a text that holds {delimiter!r}"
            )
    _refuse_swallowed(rows[1:], lines, delimiter, places.intent, path)
    found = [
        made
        for row in rows[1:]
        for made in pair(
            row.fields[places.text],
            row.fields[places.intent],
            f"{path}, line {row.last}",
            places.beside(row.fields),
        )
    ]
    return RawCorpus({"train": found}, _notes(path, columns.note, places.note, note))


def read_records(records: Iterable[tuple[int, Any]], path: Path, columns: Columns) -> RawCorpus:
    """Read JSON objects with a text and an intent.

    Args:
        records: line (or place in a list) and value of each.
        path: what an error calls the file.
        columns: which fields hold texts and intents; the same in all objects.

    Raises:
        ModivaError: something that is not an object, misses a field, or has several that could
            be meant.
    """
    listed = list(records)
    if not listed:
        return RawCorpus({"train": []})
    for line, record in listed:
        if not isinstance(record, dict):
            raise ModivaError(f"{path}, record {line} is not an object with a text and an intent")
    keys = list(dict.fromkeys(key for _, record in listed for key in record))
    # A first object without an intent is found by its own fields.
    if not has_both(keys):
        columns.places(list(listed[0][1]), f"{path}, record {listed[0][0]}", str(path))
    places = columns.places(
        keys,
        str(path),
        str(path),
        lambda place: all(type(record.get(keys[place], 0)) is int for _, record in listed),
    )
    text_key, intent_key = keys[places.text], keys[places.intent]
    found: list[Pair] = []
    for line, record in listed:
        where = f"{path}, record {line}"
        for role, key in (("text", text_key), ("intent", intent_key)):
            if key not in record:
                raise ModivaError(f"{where} has no {role} column {key!r}: add it")
        text, intent = record[text_key], record[intent_key]
        if not isinstance(text, str) or not isinstance(intent, str | int):
            raise ModivaError(
                f"{where}: {text_key!r} and {intent_key!r} must be strings (an intent may also be "
                "a whole number)"
            )
        beside = places.beside([record.get(key) for key in keys])
        intent = intent if isinstance(intent, str) else json.dumps(intent)
        found += pair(text, intent, where, beside)
    return RawCorpus({"train": found}, _notes(path, columns.note, places.note))


def _notes(path: Path, chosen: str, taken: str, *others: str) -> str:
    """Join what a reader must know; what was taken without being asked for is logged, too."""
    if taken:
        logger.warning("%s: %s", path, taken)
    return " ".join(filter(None, (chosen, taken, *others)))


def read_table(table: Table, path: Path, columns: Columns) -> RawCorpus:
    """Read a table that is given by its columns.

    Args:
        table: with a column of texts and one of intents.
        path: what an error calls it.
        columns: which hold texts and intents.

    Raises:
        ModivaError: a missing column, several that could be meant, or a value that is neither text
            nor, of an intent, a whole number.
    """
    places = columns.places(table.header, str(path), str(path), table.numbered)
    found: list[Pair] = []
    rows = zip(table.column(places.text), table.column(places.intent), strict=True)
    others = {place: table.column(place) for place in places.others.values()}
    for number, (text, intent) in enumerate(rows, start=1):
        where = f"{path}, row {number}"
        if isinstance(intent, Integral) and not isinstance(intent, bool):
            intent = str(int(intent))
        if not isinstance(text, str) or not isinstance(intent, str):
            names = [table.header[places.text], table.header[places.intent]]
            raise ModivaError(
                f"{where}: {names[0]!r} and {names[1]!r} must be strings (an intent may also be a "
                "whole number)"
            )
        row = {place: column[number - 1] for place, column in others.items()}
        found += pair(text, intent, where, places.beside(row))
    return RawCorpus({"train": found}, _notes(path, columns.note, places.note))


def class_name(names: Sequence[str], value: Any) -> Any:
    """Return the name of a class number; what numbers no class, such as -1, as it is."""
    try:
        place = operator.index(value)
    except TypeError:
        return value
    return names[place] if 0 <= place < len(names) else value


def parse_lines(text: str, path: Path) -> list[tuple[int, Any]]:
    """Return line number and value of each line of a JSON lines file."""
    records = []
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            try:
                records.append((number, parse_json(line)))
            except ValueError as error:
                raise ModivaError(
                    f"{path}, line {number} is not JSON ({error}): one object per line, such as "
                    '{"text": "call home", "intent": "call"}'
                ) from error
    return records


def parse_json(text: str) -> Any:
    """Return a JSON value.

    Raises:
        ValueError: not JSON, nested too deep, or an object that names a field twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(fields)
    if len(made) < len(fields):
        names = [name for name, _ in fields]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} stands twice in one object")
    return made


def _header(line: str, delimiter: str) -> list[str]:
    """Return names of the columns as a header line has them; none where it is no row."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a line of more than 131,072 characters names no columns
        return []


def _literal(lines: Sequence[str]) -> tuple[list[_Row], str] | None:
    """Return rows of a file with tabs, quotes as they are; None where lines and header differ."""
    rows = [
        _Row(number, number, line.split("\t"))
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if any(len(row.fields) != len(rows[0].fields) for row in rows):
        return None
    quoted = [field for row in rows for field in row.fields if field.startswith('"')]
    if all(_QUOTED.fullmatch(field) for field in quoted):
        bare = [row._replace(fields=[_unquoted(field) for field in row.fields]) for row in rows]
        return bare, ""
    return rows, "Quotes are read as they stand: some fields begin with one and do not end with it."


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if field.startswith('"') else field


def _quoted(text: str, delimiter: str, path: Path) -> Iterator[_Row]:
    """Return records of a file in which quotes join fields over delimiters and line ends."""
    usual = csv.field_size_limit(len(text) + 1)  # 131,072, which a long sentence may exceed
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    ended = 0
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield _Row(ended + 1, reader.line_num, fields)
            ended = reader.line_num
    except csv.Error as error:
        lines = f"{ended + 1}" if reader.line_num <= ended + 1 else f"{ended + 1}-{reader.line_num}"
        raise ModivaError(
            f"{path}, line {lines}: {error}: mend the quotes; inside a quoted field a quote is "
            'written twice ("")'
        ) from error
    finally:
        csv.field_size_limit(usual)


def _refuse_swallowed(
    rows: Sequence[_Row], lines: Sequence[str], delimiter: str, intent: int, path: Path
) -> None:
    """Raise where a quote that was left open has made one row of several.

    A record of several lines is one if lines of it, alone, fit the header and have an intent that
    other rows have: a line inside, or both its first and its last.
    """
    known = {row.fields[intent].strip() for row in rows if row.first == row.last}
    for row in (row for row in rows if row.first < row.last):
        alone = [line.split(delimiter) for line in lines[row.first - 1 : row.last]]
        whole = [len(a) == len(row.fields) and a[intent].strip(' "') in known for a in alone]
        if any(whole[1:-1]) or (whole[0] and whole[-1]):
            raise ModivaError(
                f"{path}, lines {row.first}-{row.last}: a quote that opens on the first line and "
                "closes on the last makes one row of them: mend the quotes, or remove them"
            )
