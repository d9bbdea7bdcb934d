"""The CLINC150 layout: one JSON file with every split as a list of [text, intent].

Source: Larson et al. 2019, EMNLP; the files of clinc/oos-eval.
"""

from pathlib import Path
from typing import Any

from modiva.corpora.reading import Pair, RawCorpus
from modiva.counts import plural
from modiva.errors import ModivaError

_KEYS = {"train": "train", "val": "valid", "test": "test"}


def is_clinc(value: Any) -> bool:
    """Return whether a JSON value has the split lists of CLINC150."""
    return isinstance(value, dict) and isinstance(value.get("train"), list)


def read(value: dict[str, Any], path: Path) -> RawCorpus:
    """Read the in-scope splits; out-of-scope queries are left out, since they have no intent.

    Args:
        value: the parsed file.
        path: what an error calls it.

    Raises:
        ModivaError: an entry that is not [text, intent].
    """
    splits = {name: _pairs(value[key], key, path) for key, name in _KEYS.items() if key in value}
    left_out = sum(len(rows) for key, rows in value.items() if key.startswith("oos_"))
    queries = plural(left_out, "out-of-scope query", "out-of-scope queries")
    note = f"{queries} left out: no intent is theirs."
    return RawCorpus(splits, note if left_out else "")


def _pairs(rows: list[Any], key: str, path: Path) -> list[Pair]:
    for place, row in enumerate(rows):
        if not (
            isinstance(row, list) and len(row) == 2 and all(isinstance(x, str) and x for x in row)
        ):
            raise ModivaError(f"{path}: entry {place} of {key!r} is {row!r}, not [text, intent]")
    return [(text, intent) for text, intent in rows]
