"""JSON files of this package: written whole or not at all, read with every field checked."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from canaries.patterns import Pattern, compile_pattern
from canaries.reading import parse_json, quote, read_bytes
from canaries.spaces import CanaryError, SecretSpace

VERSION = 1


def write_document(path: str | Path, kind: str, content: Mapping[str, Any]) -> Path:
    """Write a document of a kind ("ledger", "questions") as JSON, whole or not at all."""
    document = {"format": f"canaries/{kind}", "version": VERSION, **content}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.iterdir():  # of a process that was killed
        pid = left.name.removeprefix(f".{path.name}.").removesuffix(".part")
        if left.name == f".{path.name}.{pid}.part" and pid.isdigit() and not _runs(int(pid)):
            left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def read_document(path: str | Path, kind: str) -> dict[str, Any]:
    """Read a document of a kind.

    Raises:
        CanaryError: the file is not one, or is of another version.
        OSError: it cannot be read.
    """
    path = Path(path)
    try:
        document = parse_json(read_bytes(path))
    except ValueError as error:
        raise CanaryError(
            f"{path} is not a {kind} file: it is not JSON ({error}); plant again to write one"
        ) from error
    if not isinstance(document, dict) or document.get("format") != f"canaries/{kind}":
        raise CanaryError(f"{path} is not a {kind} file: its 'format' must be 'canaries/{kind}'")
    if document.get("version") != VERSION:
        raise CanaryError(
            f"{path} has version {quote(document.get('version'))}, and version {VERSION} is what "
            "can be read here: plant again, or use the release that wrote it"
        )
    return document


def check_fields(value: Any, where: str, fields: Mapping[str, type]) -> None:
    """Refuse a JSON object in which a field is missing or of another type."""
    if not isinstance(value, dict):
        raise CanaryError(f"{where} is {quote(value)}, which is not a JSON object")
    for field, kind in fields.items():
        # bool is an int in Python, and is none here.
        if not isinstance(value.get(field), kind) or isinstance(value[field], bool):
            raise CanaryError(
                f"{where} has {field} = {quote(value.get(field))}: it must be a JSON value "
                f"of type {kind.__name__}"
            )


def words_of(value: Any, where: str) -> tuple[str, ...]:
    """Return a JSON list of words as a tuple; CanaryError if it is something else."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise CanaryError(f"{where} is {quote(value)}: it must be a list of words")
    return tuple(value)


def spaces_to_json(patterns: Iterable[Pattern]) -> dict[str, list[str]]:
    """Return the options of every space of some patterns, by name.

    Raises:
        CanaryError: two different spaces have one name.
    """
    spaces: dict[str, SecretSpace] = {}
    for pattern in patterns:
        for space in pattern.slots:
            if spaces.setdefault(space.name, space) != space:
                raise CanaryError(
                    f"two different spaces are called {space.name!r}: rename one of them"
                )
    return {name: list(space.options) for name, space in spaces.items()}


def spaces_from_json(value: Any) -> dict[str, SecretSpace]:
    """Return the spaces that `spaces_to_json` wrote."""
    if not isinstance(value, dict):
        raise CanaryError(f"spaces is {quote(value)}, which is not a JSON object")
    return {
        name: SecretSpace(name, words_of(options, f"space {name!r}"))
        for name, options in value.items()
    }


def pattern_of(entry: Mapping[str, Any], where: str, spaces: Mapping[str, SecretSpace]) -> Pattern:
    """Return the pattern of an entry with `pattern`, `template` and the names of its `spaces`."""
    names = words_of(entry["spaces"], f"spaces of {where}")
    unknown = [name for name in names if name not in spaces]
    if unknown:
        raise CanaryError(f"{where} uses spaces that the file does not hold: {unknown}")
    named = {name: spaces[name] for name in names}
    return compile_pattern(entry["pattern"], entry["template"], spaces=named)


def _runs(pid: int) -> bool:
    """Return whether a process of this number runs on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        return True
    return True
