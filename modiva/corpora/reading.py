"""What every file reader shares: bytes to text, the names of splits, rows that must be whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modiva.errors import ModivaError

Pair = tuple[str, str]

_SPLIT_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}


@dataclass(frozen=True)
class RawCorpus:
    """(text, intent) pairs as files hold them, by split, and what to know about the reading."""

    splits: Mapping[str, list[Pair]]
    note: str = ""


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, line ends as they are, without a byte-order mark.

    Raises:
        ModivaError: the file is empty, or holds bytes that are not UTF-8.
    """
    return decode(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file that must not be blank."""
    data = path.read_bytes()
    if not data.strip():
        raise ModivaError(f"{path} is empty: give a file with sentences and their intents")
    return data


def decode(data: bytes, path: Path) -> str:
    """Return `data` as text; `path` is what an error calls it."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModivaError(
            f"{path}: byte 0x{error.object[error.start]:02x} at offset {error.start} is not "
            "UTF-8, the encoding expected: save the file as UTF-8"
        ) from error


def pair(text: str, intent: str, where: str) -> list[Pair]:
    """One row as a list of one pair, or of none where both are blank.

    Raises:
        ModivaError: a sentence without an intent; `where` names its place.
    """
    if intent.strip():
        return [(text, intent.strip())]
    if text.strip():
        raise ModivaError(f"{where}: the sentence {text.strip()[:60]!r} has no intent: add one")
    return []


def split_paths(paths: Iterable[Path], folder: Path) -> dict[str, Path]:
    """The paths whose name (without suffix) is that of a split, by split.

    Raises:
        ModivaError: two paths claim one split, or there are others but no train.
    """
    found: dict[str, Path] = {}
    for path in sorted(paths):
        split = _SPLIT_NAMES.get(path.name.split(".")[0].lower())
        if split is None:
            continue
        if split in found:
            raise ModivaError(
                f"{folder}: both {found[split].name} and {path.name} could be the {split} split: "
                "keep one"
            )
        found[split] = path
    if found and "train" not in found:
        names = ", ".join(path.name for path in found.values())
        raise ModivaError(f"{folder} has {names}, but no train split: add train")
    return found
