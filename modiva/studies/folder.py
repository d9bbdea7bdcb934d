"""The folder of a store: what tells it, and the files in it, from a folder and files of others."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from modiva.errors import ModivaError
from modiva.files import LOCK, write_text

MARKER = ".modiva-store"
_FIRST = "A store of modiva: finished steps of studies."
_REST = "Without this file modiva takes the folder for somebody else's and leaves it alone."
KEY = re.compile(r"[0-9a-f]{24}")
_PLAN = re.compile(r"(self|[0-9a-f]{24})\.json")
_DIGEST = re.compile(rb"[0-9a-f]{64}\n")
# What runs leave in scratch/: files and folders named by a step, and the next index.
_SCRATCH = re.compile(r"[0-9a-f]{24}([.-].*)?|index\.sqlite(-journal|-wal|-shm)?")
# Beside an index of an older version.
_OLDER_INDEX = ("index.sqlite-journal", "index.sqlite-wal", "index.sqlite-shm")


def is_store(folder: Path) -> bool:
    """Return whether a run made the folder.

    Its marker says so. A store of version 0.2 or older has none: there it is the plan of a study,
    which begins with the SHA-256 of the rest of its file.
    """
    return _is_marked(folder) or any(_is_sealed(path) for path in plan_files(folder))


def _is_marked(folder: Path) -> bool:
    try:
        with (folder / MARKER).open(encoding="utf-8") as file:
            return file.readline(len(_FIRST) + 1).rstrip("\n") == _FIRST
    except (OSError, ValueError):
        return False


def check_store(folder: Path) -> None:
    """Raise `ModivaError` unless the folder is a store."""
    if is_store(folder):
        return
    if not folder.is_dir():
        raise ModivaError(f"{folder} is no store of a study: there is no such folder")
    raise ModivaError(
        f"{folder} is no store of a study: it has neither the file {MARKER} nor, of an older "
        "version, a plan in studies/; name the folder that holds one"
    )


def is_empty(folder: Path) -> bool:
    """Return whether there is no folder, or nothing in it but what a run begins with."""
    return not folder.is_dir() or all(
        path.name == LOCK or (MARKER in path.name and path.name.endswith(".part"))
        for path in folder.iterdir()
    )


def mark(folder: Path) -> None:
    """Mark a folder that is locked as a store, and empty the scratch of one that was."""
    if is_store(folder):
        for entry in _entries(folder / "scratch"):
            if _SCRATCH.fullmatch(entry.name):
                remove(Path(entry.path))
        for name in _OLDER_INDEX:
            (folder / name).unlink(missing_ok=True)
    if not _is_marked(folder):
        write_text(folder / MARKER, f"{_FIRST}\n{_REST}\n")
    (folder / "studies").mkdir(exist_ok=True)
    (folder / "scratch").mkdir(exist_ok=True)


def plan_files(folder: Path) -> list[Path]:
    """Return the plans of the studies that use a store, sorted."""
    found = [Path(entry.path) for entry in _entries(folder / "studies")]
    return sorted(path for path in found if _PLAN.fullmatch(path.name) and path.is_file())


def keyed(folder: Path, suffix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield key and entry of what is named by a step in folder/ab/, `suffix` after its key."""
    for part in _entries(folder):
        if len(part.name) == 2 and part.is_dir():
            for entry in _entries(Path(part.path)):
                key = entry.name.removesuffix(suffix)
                if entry.name == key + suffix and KEY.fullmatch(key) and key[:2] == part.name:
                    yield key, entry


def remove(path: Path) -> None:
    """Remove a file or folder, or a link and not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds; nothing where there is none."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_sealed(path: Path) -> bool:
    """Return whether a file begins with the SHA-256 of what follows."""
    try:
        with path.open("rb") as file:
            first = file.read(65)
            if not _DIGEST.fullmatch(first):
                return False
            return (
                hashlib.sha256(file.read().removesuffix(b"\n")).hexdigest() == first[:64].decode()
            )
    except OSError:
        return False
