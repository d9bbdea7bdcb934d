"""The original SNIPS layout: JSON of annotated sentence pieces, one folder an intent.

Source: Coucke et al. 2018, arXiv 1805.10190; the files of sonos/nlu-benchmark.
"""

import json
import re
from pathlib import Path
from typing import Any

from modiva.corpora.reading import Pair, RawCorpus, decode, read_bytes
from modiva.errors import ModivaError

_FILE = re.compile(r"(train|validate)_.+\.json")


def matches(folder: Path) -> bool:
    """Whether `folder`, or one inside it, holds train_INTENT.json files."""
    return bool(_files(folder))


def read(folder: Path) -> RawCorpus:
    """Read all intents; the published validate files are the test split.

    A train_INTENT_full.json hides the shorter train_INTENT.json beside it.

    Args:
        folder: holds one folder an intent, or the files themselves.

    Raises:
        ModivaError: a file is not JSON of that layout.
    """
    splits: dict[str, list[Pair]] = {"train": []}
    latin: list[str] = []
    for path in _files(folder):
        if path.with_name(f"{path.stem}_full.json").is_file():
            continue
        data = read_bytes(path)
        text, encoding = decode_snips(data, path)
        if encoding == "latin-1":
            latin.append(path.name)
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModivaError(f"{path} is not JSON: {error}: fetch the file again") from error
        split = "train" if path.name.startswith("train") else "test"
        splits.setdefault(split, []).extend(pairs(value, path))
    note = "The published validate files are the test split."
    if latin:
        note += f" Read as Latin-1: {', '.join(latin)}."
    return RawCorpus(splits, note)


def decode_snips(data: bytes, path: Path) -> tuple[str, str]:
    """Return text and encoding: UTF-8, or Latin-1 as the published PlayMusic is."""
    try:
        return decode(data, path), "utf-8"
    except ModivaError:
        return data.decode("latin-1"), "latin-1"


def is_snips(value: Any) -> bool:
    """Whether a JSON value is {intent: [{"data": [{"text": ...}, ...]}, ...]}."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(rows, list) and all(isinstance(r, dict) and "data" in r for r in rows)
            for rows in value.values()
        )
    )


def pairs(value: Any, path: Path) -> list[Pair]:
    """The sentences of one SNIPS JSON value, their pieces joined."""
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


def _files(folder: Path) -> list[Path]:
    found = [*folder.glob("*.json"), *folder.glob("*/*.json")]
    return sorted(path for path in found if _FILE.fullmatch(path.name))
