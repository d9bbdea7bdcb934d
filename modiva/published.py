"""The list of the files that a folder of results holds, so that they go with what they show."""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from modiva.files import remove_parts, write_json

PUBLISHED_FILE = "published.json"
# Written by versions whose published.json has no list of files.
_OLDER = ("rows.csv", "models.csv", "summary.csv", "summary.json", "summary.txt", "report.html")


def read_published(folder: Path) -> tuple[str | None, tuple[str, ...]]:
    """Return what the results follow from, None if they are not whole, and the files' names."""
    try:
        record = json.loads((folder / PUBLISHED_FILE).read_text(encoding="utf-8"))
        state, files = record["state"], record.get("files", _OLDER)
        if isinstance(state, str | None) and all(map(_is_inside, files)):
            return state, tuple(files)
    except FileNotFoundError:
        return None, ()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None, _OLDER


def write_published(folder: Path, state: str | None, files: Iterable[str]) -> None:
    """Write which files the results are.

    Args:
        folder: of the results.
        state: what they follow from, None until all are written.
        files: names relative to the folder.
    """
    names = sorted(set(files))
    write_json(folder / PUBLISHED_FILE, {"state": state, "files": names})


def withdraw(folder: Path) -> None:
    """Remove the results in a folder, which are of other settings; files of others stay."""
    _, files = read_published(folder)
    for name in files:
        remove_parts((folder / name).parent, Path(name).name)
        (folder / name).unlink(missing_ok=True)
    (folder / PUBLISHED_FILE).unlink(missing_ok=True)


def _is_inside(name: object) -> bool:
    path = PurePosixPath(str(name))
    return isinstance(name, str) and not path.is_absolute() and ".." not in path.parts
