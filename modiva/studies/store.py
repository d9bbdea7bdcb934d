"""Where finished cells are kept: one file a cell, named by content, whole or not at all.

    FOLDER/settings.json       the specification that the folder belongs to
    FOLDER/cells/KEY.json      rows of one finished cell with their checksum
    FOLDER/failed/KEY.txt      the error of a cell that failed; tried again on the next run

A killed run leaves only whole cells; the next one reads them and computes the rest.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import attacks
import canaries
import modiva
from modiva.errors import ModivaError
from modiva.files import write_json, write_text

logger = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


class Store:
    """The results of one study in a folder."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """Open `folder` for `settings`, making it if it is not there.

        Raises:
            ModivaError: the folder holds another study's results, or is not a folder.
        """
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ModivaError(f"--out {folder} is a file: name a folder")
        path = self.folder / "settings.json"
        if path.exists():
            _check_same(path, settings)
        elif self.folder.is_dir() and any(p.name != ".lock" for p in self.folder.iterdir()):
            raise ModivaError(
                f"--out {folder} is not empty and holds no study: name another folder"
            )
        self._settings = settings

    @contextmanager
    def locked(self) -> Iterator["Store"]:
        """Hold the folder for one run; a second run is refused, not mixed in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ModivaError(
                    f"--out {self.folder} is in use by another run: wait for it, or name another"
                ) from error
            if not (self.folder / "settings.json").exists():
                write_json(self.folder / "settings.json", self._settings)
            yield self

    def read(self, key: str) -> dict[str, Any] | None:
        """The record of a finished cell, or None; a damaged file counts as not finished."""
        path = self.folder / "cells" / f"{key}.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["checksum"] == _checksum(record["rows"]):
                return record
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            pass
        logger.warning("%s is damaged: its cell is computed again", path)
        return None

    def write(self, key: str, cell: dict[str, Any], rows: Rows, seconds: dict[str, float]) -> None:
        """Keep a finished cell."""
        record = {"cell": cell, "seconds": seconds, "checksum": _checksum(rows), "rows": rows}
        write_text(self.folder / "cells" / f"{key}.json", json.dumps(record, allow_nan=False))
        (self.folder / "failed" / f"{key}.txt").unlink(missing_ok=True)

    def failure(self, key: str) -> str | None:
        """The last line of the error that ended a cell, or None."""
        try:
            text = (self.folder / "failed" / f"{key}.txt").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return (text.strip().splitlines() or ["no message"])[-1]

    def write_failure(self, key: str, text: str) -> Path:
        """Keep the error of a cell that failed."""
        return write_text(self.folder / "failed" / f"{key}.txt", text)


def _checksum(rows: Rows) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _check_same(path: Path, settings: dict[str, Any]) -> None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModivaError(f"{path} cannot be read ({error}): name another --out") from error
    if not isinstance(known, dict):
        raise ModivaError(f"{path} is not a study's settings: name another --out")
    changed = sorted(name for name in {*known, *settings} if known.get(name) != settings.get(name))
    if changed:
        name = changed[0]
        raise ModivaError(
            f"--out {path.parent} holds results of other settings ({name} was "
            f"{known.get(name)!r}, now {settings.get(name)!r}): name another folder or remove it"
        )


@lru_cache(maxsize=1)
def code_version() -> str:
    """A hash of the source that decides a cell's rows: all but the report and the command line."""
    digest = hashlib.sha256(os.fsencode(modiva.__version__))
    for package in (canaries, attacks, modiva):
        root = Path(package.__path__[0])
        for path in sorted(root.rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if package is modiva and name.startswith(("report/", "cli")):
                continue
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
