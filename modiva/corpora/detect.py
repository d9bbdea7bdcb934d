"""Detect the layout of a user's file or folder by its contents."""

import json
from pathlib import Path
from types import ModuleType

from modiva.corpora import arrow, clinc150, hwu64, seq_in, snips, tables
from modiva.corpora.columns import BY_NAME, Columns
from modiva.corpora.reading import RawCorpus, decode, join_splits, read_bytes
from modiva.errors import ModivaError

LAYOUTS = (
    "train/valid/test folders with seq.in and label; train/valid/test files of CSV, TSV, JSONL, "
    "Parquet or Arrow with a text and an intent column; what datasets.save_to_disk wrote; SNIPS "
    "folders INTENT/train_INTENT.json; HWU64 folders trainset and testset of INTENT.csv; the "
    "CLINC150 JSON file"
)


def read(path: Path, columns: Columns = BY_NAME) -> RawCorpus:
    """Read a file or folder in any known layout.

    Args:
        path: an existing file or folder.
        columns: which columns of tables hold texts and intents.

    Raises:
        ModivaError: no known layout, or a broken one; the message names the place.
    """
    raw = read_folder(path, columns) if path.is_dir() else read_file(path, columns)
    if columns.note and columns.note not in raw.note:
        chosen = [name for name in (columns.text, columns.intent, *columns.beside) if name]
        raise ModivaError(
            f"{path} is no table, so it has no columns to choose: leave "
            f"{' and '.join(map(repr, chosen))} out"
        )
    return raw


def files(path: Path) -> list[Path]:
    """Return the files that `read` may read: a file itself, or those of a folder's layout.

    Raises:
        ModivaError: a folder of no known layout.
    """
    if path.is_dir():
        return list(_layout(path).files(path))
    return [path] if path.exists() else []


def read_folder(folder: Path, columns: Columns) -> RawCorpus:
    """Read a folder in one of the known layouts."""
    layout = _layout(folder)
    if layout is arrow:
        return arrow.read_folder(folder, columns)
    if layout is hwu64:
        return hwu64.read(folder, columns)
    if layout is not tables:
        raw: RawCorpus = layout.read(folder)
        return raw
    paths = tables.split_files(folder)
    return join_splits({split: read_file(path, columns) for split, path in paths.items()})


def _layout(folder: Path) -> ModuleType:
    """Return the module of a folder's layout, told by names of files."""
    for layout in (seq_in, arrow, tables, snips, hwu64):
        if layout.matches(folder):
            return layout
    entries = sorted(entry.name for entry in folder.iterdir())
    held = ", ".join(entries[:8]) + (", ..." if len(entries) > 8 else "")
    raise ModivaError(
        f"{folder} has no known layout; it holds: {held or 'nothing'}. Give one of its "
        f"files, or a folder of a known layout: {LAYOUTS}"
    )


def read_file(path: Path, columns: Columns) -> RawCorpus:
    """Read one file: Parquet or Arrow, CLINC150 or SNIPS JSON, JSON lines, or a delimited table."""
    data = read_bytes(path)
    if arrow.is_arrow(data):
        return arrow.read_file(path, columns)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return tables.read_delimited(decode(data, path), path, columns)
    try:
        value = tables.parse_json(snips.decode_snips(data, path)[0])
    except json.JSONDecodeError:
        text = decode(data, path)
        return tables.read_records(tables.parse_lines(text, path), path, columns)
    except ValueError as error:
        raise ModivaError(f"{path}: {error}: mend the file") from error
    if snips.is_snips(value):
        return RawCorpus({"train": snips.pairs(value, path)})
    decode(data, path)  # only SNIPS is forgiven for not being UTF-8
    if clinc150.is_clinc(value):
        return clinc150.read(value, path)
    records = value if isinstance(value, list) else [value]
    return tables.read_records(enumerate(records, start=1), path, columns)
