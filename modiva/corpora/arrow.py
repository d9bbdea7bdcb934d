"""Parquet and Arrow files, and the folders that `datasets.save_to_disk` writes."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canaries.reading import parse_json, read_bytes
from modiva.corpora.columns import Columns
from modiva.corpora.reading import RawCorpus, join_splits, parse_split
from modiva.corpora.tables import Table, class_name, read_table
from modiva.errors import ModivaError

if TYPE_CHECKING:
    import pyarrow

# How a Parquet file, an Arrow file and an Arrow stream begin.
_PARQUET, _FILE, _STREAM = b"PAR1\x15", b"ARROW1", b"\xff\xff\xff\xff"
_SPLITS, _STATE = "dataset_dict.json", "state.json"


def is_arrow(data: bytes) -> bool:
    """Return whether a file's bytes begin as those of Parquet or Arrow do."""
    return data.startswith((_PARQUET, _FILE, _STREAM))


def matches(folder: Path) -> bool:
    """Return whether `save_to_disk` wrote the folder."""
    return (folder / _SPLITS).is_file() or (folder / _STATE).is_file()


def files(folder: Path) -> list[Path]:
    """Return the files of `folder` that `read_folder` may read."""
    return sorted(path for path in (*folder.iterdir(), *folder.glob("*/*")) if path.is_file())


def read_folder(folder: Path, columns: Columns) -> RawCorpus:
    """Read a folder of `Dataset.save_to_disk`, or of `DatasetDict.save_to_disk` with splits.

    Raises:
        ModivaError: a damaged folder, splits without train, or columns that do not fit.
    """
    if not (folder / _SPLITS).is_file():
        return read_table(_saved(folder), folder, columns)
    splits: dict[str, Path] = {}
    for name in _listed(folder / _SPLITS, "splits"):
        split = parse_split(name)
        if split is None or split in splits:
            raise ModivaError(
                f"{folder}: the split {name!r} is neither train, valid nor test, or one of them "
                "twice: give one split's folder"
            )
        splits[split] = folder / name
    if "train" not in splits:
        raise ModivaError(f"{folder} has no split train: give one split's folder")
    return join_splits(
        {split: read_table(_saved(place), place, columns) for split, place in splits.items()}
    )


def read_file(path: Path, columns: Columns) -> RawCorpus:
    """Read one Parquet or Arrow file.

    Raises:
        ModivaError: a damaged file, or columns that do not fit.
    """
    return read_table(_table([path]), path, columns)


def _saved(folder: Path) -> Table:
    names = [entry.get("filename") for entry in _listed(folder / _STATE, "_data_files")]
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (folder / name).is_file():
            raise ModivaError(f"{folder} lacks the file {name!r} that its {_STATE} names: copy it")
    return _table([folder / name for name in names])


def _listed(path: Path, key: str) -> list[Any]:
    try:
        found = parse_json(read_bytes(path))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModivaError(f"{path} cannot be read ({error}): save the data set again") from error
    kind = dict if key == "_data_files" else str
    if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
        raise ModivaError(f"{path}: {key!r} is not a list: save the data set again")
    return found


def _table(paths: Sequence[Path]) -> Table:
    """Return the rows of several files, one after the other."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ModivaError(
            f"{paths[0]} needs pyarrow, which is not installed: pip install 'modiva[parquet]', or "
            "save the data as CSV or JSON lines"
        )
    import pyarrow

    try:
        table = pyarrow.concat_tables([_one(path) for path in paths])
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        shown = str(paths[0]) if len(paths) == 1 else str(paths[0].parent)
        raise ModivaError(f"{shown} cannot be read ({error}): save it again") from error
    classes = _classes(table.schema)

    def column(place: int) -> list[Any]:
        values: list[Any] = table.column(place).to_pylist()
        names = classes.get(table.column_names[place])
        return values if names is None else [class_name(names, value) for value in values]

    def numbered(place: int) -> bool:
        return bool(pyarrow.types.is_integer(table.schema.field(place).type))

    return Table(table.column_names, column, numbered)


def _one(path: Path) -> "pyarrow.Table":
    import pyarrow

    with path.open("rb") as opened:
        start = opened.read(6)
    if start.startswith(_PARQUET):
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path)
    with pyarrow.OSFile(str(path)) as source:
        read = pyarrow.ipc.open_file if start == _FILE else pyarrow.ipc.open_stream
        return read(source).read_all()


def _classes(schema: "pyarrow.Schema") -> dict[str, list[str]]:
    """Return the names of classes that `datasets` keeps in the schema, by column."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list)
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
