"""Where finished steps are kept: named by content, whole or not at all, one run a folder.

    STORE/steps/ab/KEY.json     a finished step: its rows and the checksums of its artefact
    STORE/artefacts/ab/KEY/     files that other steps read, such as trained targets
    STORE/studies/NAME.json     the steps of every study that uses the store
    STORE/failed/KEY.txt        the error of a step that failed; tried again on the next run
    STORE/index.sqlite          the same rows to count and to add up; rebuilt from steps/
    STORE/scratch/              what is not finished; emptied by the next run

A step is finished when its file in steps/ is whole, which is written last. The index is a copy: a
file that is new, gone or changed since it was indexed is seen by its size and time of change (only
compared for equality, so no clock has to be right), read again and checked by its SHA-256.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from modiva.errors import ModivaError
from modiva.studies.engines.task import Outcome
from modiva.studies.index import Index, Stamp

logger = logging.getLogger(__name__)

_KEY = re.compile(r"[0-9a-f]{24}")


class Store:
    """The finished steps in a folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made by `locked`.

        Raises:
            ModivaError: it is a file.
        """
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ModivaError(f"--out {folder} is a file: name a folder")
        self.scratch = self.folder / "scratch"
        self._index: Index | None = None
        self._holds = False  # the lock

    @property
    def index(self) -> Index:
        """The index, opened when it is first asked for, which says what the files say."""
        if self._index is None:
            return self._open()
        return self._index

    def _open(self) -> Index:
        self._index = Index(self.folder / "index.sqlite")
        self.refresh()
        return self._index

    @contextmanager
    def locked(self) -> Iterator["Store"]:
        """Hold the folder for one run; a second run is refused, not mixed in."""
        # `studies` comes first: it is what tells a store from a folder of something else.
        (self.folder / "studies").mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ModivaError(
                    f"--out {self.folder} is in use by another run: wait for it, or name another"
                ) from error
            self.close()
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir()
            for left in self.folder.glob("index.sqlite-*"):  # beside an index of an older version
                left.unlink()
            self._holds = True
            try:
                self._open()
                yield self
            finally:
                try:
                    self._save()
                finally:
                    self._holds = False
                    self.close()

    def close(self) -> None:
        """Close the index; it opens again by itself."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _save(self) -> None:
        """Keep the index; a disk that has no room for it loses nothing but time."""
        if self._index is not None and self._index.changed:
            try:
                self._index.save(self.scratch)
            except OSError as error:
                logger.warning("%s cannot be kept: %s", self.folder / "index.sqlite", error)

    def refresh(self, verify: bool = False) -> int:
        """Make the index say what the files say; return the number of damaged steps.

        Damaged steps are removed by the run that holds the folder, and left out by others.

        Args:
            verify: read and check every file, artefacts too, not only what changed.
        """
        known = {} if verify else self.index.stamps()
        found = dict(self.stamps())
        self.index.drop(key for key in self.index.stamps() if key not in found)
        damaged = 0
        for key, stamp in found.items():
            if known.get(key) == stamp:
                continue
            record = self.read(key)
            if record is None or (verify and not self.intact(key, record)):
                if self._holds:
                    self.discard(key)
                self.index.drop([key])
                damaged += 1
            else:
                self.index.add(record, stamp)
        return damaged

    def verify(self) -> int:
        """Check every file against its checksum; return how many steps were damaged.

        Raises:
            ModivaError: a run holds the store.
        """
        with self.locked():
            return self.refresh(verify=True)

    def stamps(self) -> Iterator[tuple[str, Stamp]]:
        """Return every file of a step with its size and time of change."""
        for part in _folders(self.folder / "steps"):
            for entry in os.scandir(part.path):
                key = entry.name.removesuffix(".json")
                if _KEY.fullmatch(key) and entry.is_file():
                    yield key, _stamp(entry.stat())

    def read(self, key: str) -> dict[str, Any] | None:
        """Return the record of a finished step, or None; a damaged file is reported, and None."""
        path = self._record(key)
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            checksum = record.pop("checksum")
            if record["key"] == key and checksum == _checksum(record) and _is_record(record):
                return record
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        logger.warning("%s is damaged: its step is computed again", path)
        return None

    def finished(self) -> set[str]:
        """Return the keys of all finished steps."""
        return set(self.index.stamps())

    def write(self, kind: str, outcome: Outcome) -> None:
        """Keep a finished step: its artefact first, then the file that makes it count."""
        if outcome.folder is not None:
            target = self.artefact(outcome.key)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            outcome.folder.rename(target)
        record = {
            "key": outcome.key,
            "kind": kind,
            "seconds": outcome.seconds,
            "files": dict(outcome.files),
            "rows": outcome.rows,
        }
        path = self._record(outcome.key)
        self._write(path, json.dumps({**record, "checksum": _checksum(record)}, allow_nan=False))
        self._failure(outcome.key).unlink(missing_ok=True)
        self.index.add(record, _stamp(path.stat()))

    def artefact(self, key: str) -> Path:
        """Return the folder of a step's artefact."""
        return self.folder / "artefacts" / key[:2] / key

    def intact(self, key: str, record: Mapping[str, Any] | None = None) -> bool:
        """Return whether a step is finished and every file of its artefact is as it was written."""
        record = record or self.read(key)
        if record is None:
            return False
        for name, checksum in record["files"].items():
            path = self.artefact(key) / name
            inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
            try:
                with path.open("rb") as file:
                    sound = inside and hashlib.file_digest(file, "sha256").hexdigest() == checksum
            except OSError:
                sound = False
            if not sound:
                logger.warning("%s is damaged or gone: its step is computed again", path)
                return False
        return True

    def discard(self, key: str) -> None:
        """Remove a step and its artefact."""
        self._record(key).unlink(missing_ok=True)
        shutil.rmtree(self.artefact(key), ignore_errors=True)
        self.index.drop([key])

    def failure(self, key: str) -> str | None:
        """Return the last line of the error that ended a step, or None."""
        try:
            text = self._failure(key).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return (text.strip().splitlines() or ["no message"])[-1]

    def failures(self) -> set[str]:
        """Return the keys of the steps that failed when they were last tried."""
        folder = self.folder / "failed"
        return {path.stem for path in folder.glob("*.txt")} if folder.is_dir() else set()

    def write_failure(self, key: str, text: str) -> Path:
        """Keep the error of a step that failed."""
        return self._write(self._failure(key), text)

    def is_empty(self) -> bool:
        """Return whether there is nothing in the folder, or no folder."""
        return not self.folder.is_dir() or not any(
            path.name != ".lock" for path in self.folder.iterdir()
        )

    def is_store(self) -> bool:
        """Return whether the folder was made by a run."""
        return (self.folder / "studies").is_dir()

    def remove(
        self, keep: set[str], *, targets: bool = False, dry_run: bool = False
    ) -> tuple[int, int]:
        """Remove steps that are not in `keep` with their artefacts; return steps and bytes.

        Args:
            keep: keys of steps that studies use.
            targets: remove the artefacts of the steps that stay too; a step that needs one again
                computes it again, equal to the bit.
            dry_run: only count.
        """
        freed = 0
        for part in _folders(self.folder / "artefacts"):
            for entry in _folders(Path(part.path)):
                if targets or entry.name not in keep:
                    freed += _size(Path(entry.path))
                    if not dry_run:
                        shutil.rmtree(entry.path)
        unused = self.finished() - keep
        freed += sum(self._record(key).stat().st_size for key in unused)
        if not dry_run:
            for key in unused:
                self.discard(key)
            for key in self.failures() - keep:
                self._failure(key).unlink()
        return len(unused), freed

    def _write(self, path: Path, text: str) -> Path:
        """Write a file whole or not at all; what a kill leaves of it lies in scratch/.

        Not flushed to the disk one by one, which takes longer than a small step: what a power cut
        shortens is found by its checksum and computed again.
        """
        part = self.scratch / path.name
        part.write_text(text, encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        return part.replace(path)

    def _record(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ModivaError(f"{key!r} is not the key of a step: {self.folder} is damaged")
        return self.folder / "steps" / key[:2] / f"{key}.json"

    def _failure(self, key: str) -> Path:
        return self.folder / "failed" / f"{key}.txt"


def _folders(path: Path) -> Iterator[os.DirEntry[str]]:
    if path.is_dir():
        yield from (entry for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_size, stat.st_mtime_ns


def _is_record(record: Mapping[str, Any]) -> bool:
    """Return whether the values are those of a step; a checksum shows only that none changed."""
    rows, files = record["rows"], record["files"]
    return (
        all(_is_value(value) for row in rows for value in row.values())
        and all(isinstance(text, str) for text in (record["kind"], *files, *files.values()))
        and isinstance(record["seconds"], float | int)
    )


def _is_value(value: Any) -> bool:
    """Return whether a table can hold a value."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str | float)


def _checksum(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, allow_nan=False).encode()).hexdigest()
