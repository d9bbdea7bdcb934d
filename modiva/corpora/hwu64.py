"""The HWU64 layout: one `;`-separated CSV per intent, named after it.

Source: Liu et al. 2019, arXiv 1903.05566; the files of xliuhw/NLU-Evaluation-Data.
"""

import csv
import io
from pathlib import Path

from canaries.reading import regular_size
from modiva.corpora.columns import BY_NAME, Columns, Places
from modiva.corpora.corpus import Example
from modiva.corpora.reading import Pair, RawCorpus, read_text, split_paths
from modiva.errors import ModivaError

LONGEST_HEADER = 2**16  # bytes
# The cleaned sentence first; the one as typed only where there is no other.
_TEXT = ("answer_from_anno", "answer_normalised", "answer", "answer_from_user")


def matches(folder: Path) -> bool:
    """Return whether `folder` or its split folders hold `;`-separated CSV files."""
    found = files(folder)
    if not found:
        return False
    regular_size(found[0])
    # Bytes: `read` refuses what cannot be decoded.
    with found[0].open("rb") as file:
        return b";" in file.readline(LONGEST_HEADER)


def files(folder: Path) -> list[Path]:
    """Return the files of `folder` that `read` may read."""
    return [*_csv(folder), *(f for p in _folders(folder) for f in _csv(p))]


def read(folder: Path, columns: Columns = BY_NAME) -> RawCorpus:
    """Read trainset and testset (or train, valid, test), or one folder of CSV files.

    Args:
        folder: holds split folders (or split/csv) of INTENT.csv files, or the files themselves.
        columns: those that are kept beside each sentence, such as scenario; no others are chosen.

    Raises:
        ModivaError: a file without a column of answers, or rows that do not fit the header.
    """
    folders = split_paths(_folders(folder), folder)
    found = folders or {"train": folder}
    note = Columns(beside=columns.beside).note
    return RawCorpus({split: _split(path, columns) for split, path in found.items()}, note)


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and _csv(path)]


def _csv(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.csv"), *folder.glob("csv/*.csv")])


def _split(folder: Path, columns: Columns) -> list[Pair]:
    return [made for path in _csv(folder) for made in _file(path, columns)]


def _file(path: Path, columns: Columns) -> list[Pair]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=";")
    try:
        header, *rows = list(reader) or [[]]
    except csv.Error as error:
        raise ModivaError(f"{path}, line {reader.line_num}: {error}: mend the quotes") from error
    column = next((header.index(name) for name in _TEXT if name in header), None)
    if column is None:
        raise ModivaError(
            f"{path} has no column {' or '.join(_TEXT)}; columns found: {', '.join(header)}. "
            "If it is a table of texts and intents, give the file itself"
        )
    others = columns.others(header, f"{path}, header", str(path))
    last = max(column, *others.values(), 0)
    if any(row and len(row) <= last for row in rows):
        line = next(i for i, row in enumerate(rows, start=2) if row and len(row) <= last)
        raise ModivaError(f"{path}, row {line}: fewer fields than the header: mend the row")
    places = Places(column, column, others=others)
    return [Example(row[column], path.stem, places.beside(row)) for row in rows if row]
