"""The original SNIPS layout: JSON of annotated sentence pieces, one folder per intent.

Source: Coucke et al. 2018, arXiv 1805.10190; the files of sonos/nlu-benchmark.
"""

import re
from pathlib import Path
from typing import Any

from modiva.corpora.reading import Pair, RawCorpus, decode, read_bytes
from modiva.corpora.tables import parse_json
from modiva.errors import ModivaError

_FILE = re.compile(r"(train|validate)_.+\.json")


def matches(folder: Path) -> bool:
    """Return whether `folder`, or one inside it, holds train_INTENT.json files."""
    return bool(files(folder))


def files(folder: Path) -> list[Path]:
    """Return the files of `folder` that `read` may read."""
    found = [*folder.glob("*.json"), *folder.glob("*/*.json")]
    return sorted(path for path in found if _FILE.fullmatch(path.name))


def read(folder: Path) -> RawCorpus:
    """Read all intents; the published validate files are the test split.

    A train_INTENT_full.json hides the shorter train_INTENT.json beside it.

    Args:
        folder: holds one folder an intent, or the files themselves.

    Raises:
        ModivaError: a file is not JSON of that layout.
    """
    splits: dict[str, list[Pair]] = {"train": []}
    notes = ["The published validate files are the test split."]
    for path in files(folder):
        if path.with_name(f"{path.stem}_full.json").is_file():
            continue
        data = read_bytes(path)
        text, encoding = decode_snips(data, path)
        if encoding != "UTF-8":
            notes.append(f"{path.name} is read as {encoding}.")
        try:
            value = parse_json(text)
        except ValueError as error:
            raise ModivaError(f"{path} is not JSON: {error}: fetch the file again") from error
        split = "train" if path.name.startswith("train") else "test"
        splits.setdefault(split, []).extend(pairs(value, path))
    return RawCorpus(splits, " ".join(notes))


def decode_snips(data: bytes, path: Path) -> tuple[str, str]:
    """Return text and encoding of a SNIPS file.

    The published PlayMusic training file is UTF-8 but for one emoji, written as two surrogates
    (CESU-8): such pairs are joined. What is still not UTF-8 is taken for Latin-1.
    """
    try:
        return decode(data, path), "UTF-8"
    except ModivaError:
        pass
    try:
        halves = data.decode("utf-8", "surrogatepass")
        return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le"), "CESU-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"


def is_snips(value: Any) -> bool:
    """Return whether a JSON value is {intent: [{"data": [{"text": ...}, ...]}, ...]}."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(rows, list) and all(isinstance(r, dict) and "data" in r for r in rows)
            for rows in value.values()
        )
    )


def pairs(value: Any, path: Path) -> list[Pair]:
    """Return the sentences of one SNIPS JSON value, their pieces joined."""
    try:
        if not is_snips(value):
            raise TypeError
        return [
            ("".join(piece["text"] for piece in row["data"]), intent)
            for intent, rows in value.items()
            for row in rows
        ]
    except (KeyError, TypeError) as error:
        raise ModivaError(
            f'{path} is not of the SNIPS layout {{intent: [{{"data": [{{"text": ...}}]}}]}}: '
            "give the original file"
        ) from error
