"""What every file reader shares: bytes to text, the names of splits, rows that must be whole."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from canaries import reading
from modiva.corpora.corpus import NOTHING, Example
from modiva.errors import ModivaError

Pair = tuple[str, str]

_LINE_END = re.compile("\r\n|\r|\n")

_SPLIT_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}


@dataclass(frozen=True)
class RawCorpus:
    """Pairs as files hold them (`Example` with columns beside), by split, and a note on reading."""

    splits: Mapping[str, Sequence[Pair]]
    note: str = ""


def expanded(name: str) -> Path:
    """Return a path with its ~ replaced by the folder that it stands for.

    Raises:
        ModivaError: there is no such user.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ModivaError(f"{name}: ~ stands for no folder here: write the path in full") from error


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, line ends as they are, without a byte-order mark.

    Raises:
        ModivaError: the file is empty, or holds bytes that are not UTF-8.
    """
    return decode(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file that must not be blank."""
    data = reading.read_bytes(path)
    if not data.strip():
        raise ModivaError(f"{path} is empty: give a file with sentences and their intents")
    return data


def decode(data: bytes, path: Path) -> str:
    """Return `data` as text without byte-order marks; `path` is what an error calls it.

    Raises:
        ModivaError: bytes that are not UTF-8, or NUL bytes, which no text holds.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        guess = " (it looks like UTF-16)" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise ModivaError(
            f"{path}: byte 0x{error.object[error.start]:02x} at offset {error.start} is not "
            f"UTF-8, the encoding expected{guess}: save the file as UTF-8"
        ) from error
    if "\0" in text:
        raise ModivaError(
            f"{path}: a NUL byte at offset {data.index(0)}: no text file has one; if it is UTF-16, "
            "save it as UTF-8"
        )
    # Files that were joined have marks inside, too; they cannot be seen and would make new words.
    return text.replace("\ufeff", "")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text; CR, LF and CR LF all end one."""
    return _LINE_END.split(text)


def pair(text: str, intent: str, where: str, beside: Mapping[str, str] = NOTHING) -> list[Example]:
    """Return one row as a list of one pair, or of none where both are blank.

    Raises:
        ModivaError: a sentence without an intent; `where` names its place.
    """
    if intent.strip():
        return [Example(text, intent.strip(), beside)]
    if text.strip():
        raise ModivaError(f"{where}: the sentence {text.strip()[:60]!r} has no intent: add one")
    return []


def join_splits(parts: Mapping[str, RawCorpus]) -> RawCorpus:
    """Return one corpus of parts that are train alone, each as the split that it stands for."""
    notes = dict.fromkeys(raw.note for raw in parts.values())
    return RawCorpus({s: raw.splits["train"] for s, raw in parts.items()}, " ".join(notes))


def parse_split(name: str) -> str | None:
    """Return train, valid or test for one of their names, such as "dev"; None for another."""
    return _SPLIT_NAMES.get(name.lower())


def split_paths(paths: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Return the paths whose name (without suffix) is that of a split, by split.

    Raises:
        ModivaError: two paths claim one split, or there are others but no train.
    """
    found: dict[str, Path] = {}
    for path in sorted(paths):
        split = parse_split(path.name.split(".")[0])
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
