"""Tables of the user: CSV, TSV or JSON lines with a column of texts and one of intents."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from modiva.corpora.reading import Pair, RawCorpus, pair, split_paths
from modiva.errors import ModivaError

TEXT_COLUMNS = ("text", "utterance", "sentence", "query")
INTENT_COLUMNS = ("intent", "label", "category")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")


def split_files(folder: Path) -> dict[str, Path]:
    """Files named after splits (train.csv, dev.tsv, test.jsonl ...) in `folder`, by split."""
    files = (path for path in folder.iterdir() if path.is_file() and path.suffix in SUFFIXES)
    return split_paths(files, folder)


def read_delimited(text: str, path: Path) -> RawCorpus:
    """Read a CSV or TSV file with a header; the delimiter is the one that finds both columns.

    Args:
        text: content of the file.
        path: what an error calls it.

    Raises:
        ModivaError: a missing column, or a row that does not fit the header.
    """
    first = text.lstrip("\r\n").split("\n", 1)[0].strip("\r")
    tried = {d: next(csv.reader([first], delimiter=d), []) for d in "\t,;"}
    fits = [d for d, header in tried.items() if _has(header)]
    delimiter = fits[0] if fits else max("\t,;", key=lambda d: len(tried[d]))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: list[Pair] = []
    header: list[str] = []
    try:
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            if not header:
                header = row
                columns = _columns(header, f"{path}, header")
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                raise ModivaError(
                    f"{where}: {len(row)} fields, but the header has {len(header)}: put quotes "
                    f"around a text that holds {delimiter!r}"
                )
            found += pair(row[columns[0]], row[columns[1]], where)
    except csv.Error as error:
        raise ModivaError(f"{path}, line {reader.line_num}: {error}: mend the quotes") from error
    return RawCorpus({"train": found})


def read_records(records: Iterable[tuple[int, Any]], path: Path) -> RawCorpus:
    """Read JSON objects with a text and an intent.

    Args:
        records: line (or place in a list) and value of each.
        path: what an error calls the file.

    Raises:
        ModivaError: something that is not an object, or misses a field.
    """
    found: list[Pair] = []
    for line, record in records:
        where = f"{path}, record {line}"
        if not isinstance(record, dict):
            raise ModivaError(f"{where} is not an object with a text and an intent")
        keys = list(record)
        text, intent = (record[keys[column]] for column in _columns(keys, where))
        if not isinstance(text, str) or not isinstance(intent, str | int):
            raise ModivaError(f"{where}: text and intent must be strings")
        found += pair(text, str(intent), where)
    return RawCorpus({"train": found})


def parse_lines(text: str, path: Path) -> list[tuple[int, Any]]:
    """Return line number and value of each line of a JSON lines file."""
    records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append((number, json.loads(line)))
        except json.JSONDecodeError as error:
            raise ModivaError(
                f"{path}, line {number} is not JSON ({error.msg}): one object a line, such as "
                '{"text": "call home", "intent": "call"}'
            ) from error
    return records


def _has(header: Sequence[str]) -> bool:
    names = {name.strip().lower() for name in header}
    return bool(names & set(TEXT_COLUMNS)) and bool(names & set(INTENT_COLUMNS))


def _columns(header: Sequence[str], where: str) -> tuple[int, int]:
    """Places of the text and intent columns."""
    names = [name.strip().lower() for name in header]
    places = []
    for role, wanted in (("text", TEXT_COLUMNS), ("intent", INTENT_COLUMNS)):
        place = next((names.index(name) for name in wanted if name in names), None)
        if place is None:
            raise ModivaError(
                f"{where} has no {role} column: name one {' or '.join(map(repr, wanted))}; "
                f"columns found: {', '.join(repr(n.strip()[:40]) for n in header[:12])}"
            )
        places.append(place)
    return places[0], places[1]
