"""Where finished steps are kept: named by content, whole or not at all, one run a folder.

    STORE/.modiva-store         tells it from a folder of something else
    STORE/steps/ab/KEY.json     a finished step: its rows and the checksums of its artefact
    STORE/artefacts/ab/KEY/     files that other steps read, such as trained targets
    STORE/studies/NAME.json     the steps of every study that uses the store
    STORE/failed/KEY.txt        the error of a step that failed; tried again on the next run
    STORE/index.sqlite          the same rows to count and to add up; rebuilt from steps/
    STORE/scratch/              what is not finished; emptied by the next run
    STORE/scratch/unfinished/   what steps that were interrupted go on from

Nothing but the run that holds a store changes it, and it removes only files that it has named. A
step is finished when its file in steps/ is whole, which is written last. The index is a copy: a
file that is new, gone or changed since it was indexed is seen by its size and time of change (only
compared for equality, so no clock has to be right), read again and checked by its SHA-256.
"""

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from modiva.errors import ModivaError
from modiva.files import exclusive
from modiva.studies import folder as own
from modiva.studies.engines.task import Outcome, is_value
from modiva.studies.index import Index, Stamp

logger = logging.getLogger(__name__)


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
        self._holds = False  # the store
        self._held: set[Path] = set()  # folders of results

    @property
    def index(self) -> Index:
        """The index, opened when it is first asked for, which says what the files say."""
        if self._index is None:
            try:
                self._index = Index(self.folder / "index.sqlite")
                self.refresh()
            except sqlite3.Error as error:
                self.rebuild(error)
        assert self._index is not None
        return self._index

    @contextmanager
    def locked(self) -> Iterator["Store"]:
        """Hold the folder for one run, which makes it a store; a second run is refused."""
        with exclusive(self.folder):
            self.close()
            own.mark(self.folder)
            self._holds = True
            self._held.add(self.folder.resolve())
            try:
                _ = self.index
                yield self
            finally:
                try:
                    self._save()
                finally:
                    self._holds = False
                    self._held.clear()
                    self.close()

    @contextmanager
    def results(self, out: Path) -> Iterator[None]:
        """Hold a folder of results, which is often the store's own, while they are written."""
        if out.resolve() in self._held:
            yield
            return
        with exclusive(out):
            self._held.add(out.resolve())
            try:
                yield
            finally:
                self._held.discard(out.resolve())

    def close(self) -> None:
        """Close the index, which opens again by itself; a run that holds the store keeps it."""
        if self._index is not None and not self._holds:
            self._index.close()
            self._index = None

    def rebuild(self, doubt: object) -> None:
        """Read every step again into an empty index, for one that is not to be believed."""
        if self._index is not None:
            self._index.close()
        self._index = Index(self.folder / "index.sqlite", doubt=f"cannot be read ({doubt})")
        self.refresh()

    def _save(self) -> None:
        """Keep the index; a disk that has no room for it loses nothing but time."""
        if self._index is not None and self._index.changed:
            try:
                self._index.save(self.scratch)
            except OSError as error:
                logger.warning("%s cannot be kept: %s", self.folder / "index.sqlite", error)

    def refresh(self) -> None:
        """Make the index say what the files say, where their size or time of change is another.

        Damaged steps are removed by the run that holds the folder, and left out by others.
        """
        known, found = self.index.stamps(), dict(self.stamps())
        self.index.drop([key for key in known if key not in found])
        for key, stamp in found.items():
            if known.get(key) != stamp:
                self._reread(key, stamp)

    def confirm(self, keys: Iterable[str]) -> None:
        """Compare steps with their files, by checksum and number of rows; what differs is re-read.

        Args:
            keys: of finished steps; one whose file is damaged is not finished from then on.
        """
        known = self.index.digests()
        for key in sorted(self.finished() & set(keys)):
            if known.get(key) != self._digest(key):
                logger.warning("%s: its rows in the index are others, and read again", key)
                self._reread(key)

    def verify(self) -> tuple[int, int]:
        """Check every file against its checksum, artefacts too, and every row of the index.

        Returns:
            How many steps were damaged, and of how many others the index had other rows.

        Raises:
            ModivaError: no store, or a run holds it.
        """
        own.check_store(self.folder)
        with self.locked():
            damaged = differing = 0
            for key, stamp in dict(self.stamps()).items():
                record = self.read(key)
                if record is None or not self.intact(key, record):
                    self.discard(key)
                    damaged += 1
                elif not self.index.holds(record):
                    self._reread(key, stamp)
                    differing += 1
            return damaged, differing

    def _reread(self, key: str, stamp: Stamp | None = None) -> None:
        """Put into the index what the file of a step says."""
        found = self._load(key)
        if found is not None:
            self.index.add(found[0], stamp or _stamp(self._record(key).stat()), found[1])
        elif self._holds:
            self.discard(key)
        else:
            self.index.drop([key])

    def stamps(self) -> Iterator[tuple[str, Stamp]]:
        """Return every file of a step with its size and time of change."""
        for key, entry in own.keyed(self.folder / "steps", ".json"):
            if entry.is_file():
                yield key, _stamp(entry.stat())

    def read(self, key: str) -> dict[str, Any] | None:
        """Return the record of a finished step, or None; a damaged file is reported, and None."""
        found = self._load(key)
        return None if found is None else found[0]

    def _load(self, key: str) -> tuple[dict[str, Any], str] | None:
        """Return the record of a finished step and the SHA-256 of its file."""
        path = self._record(key)
        try:
            content = path.read_bytes()
            record: dict[str, Any] = json.loads(content)
            checksum = record.pop("checksum")
            if record["key"] == key and checksum == _checksum(record) and _is_record(record):
                return record, hashlib.sha256(content).hexdigest()
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        logger.warning("%s is damaged: its step is computed again", path)
        return None

    def _digest(self, key: str) -> str | None:
        try:
            return hashlib.sha256(self._record(key).read_bytes()).hexdigest()
        except FileNotFoundError:
            return None

    def finished(self) -> set[str]:
        """Return the keys of all finished steps."""
        return set(self.index.stamps())

    def write(self, kind: str, outcome: Outcome) -> None:
        """Keep a finished step: its artefact first, then the file that makes it count."""
        if outcome.folder is not None:
            target = self.artefact(outcome.key)
            target.parent.mkdir(parents=True, exist_ok=True)
            own.remove(target)
            outcome.folder.rename(target)
        record = {
            "key": outcome.key,
            "kind": kind,
            "seconds": outcome.seconds,
            "files": dict(outcome.files),
            "rows": outcome.rows,
        }
        path = self._record(outcome.key)
        text = json.dumps({**record, "checksum": _checksum(record)}, allow_nan=False)
        self._write(path, text)
        self._failure(outcome.key).unlink(missing_ok=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        try:
            self.index.add(record, _stamp(path.stat()), digest)
        except sqlite3.Error as error:
            self.rebuild(error)

    def artefact(self, key: str) -> Path:
        """Return the folder of a step's artefact."""
        return self.folder / "artefacts" / key[:2] / key

    def intact(self, key: str, record: Mapping[str, Any] | None = None) -> bool:
        """Return whether a step is finished and every file of its artefact is as it was written.

        Raises:
            OSError: a file is there and cannot be read, which is no damage.
        """
        record = record or self.read(key)
        if record is None:
            return False
        for name, checksum in record["files"].items():
            path = self.artefact(key) / name
            inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
            try:
                with path.open("rb") as file:
                    sound = inside and hashlib.file_digest(file, "sha256").hexdigest() == checksum
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                sound = False
            if not sound:
                logger.warning("%s is damaged or gone: its step is computed again", path)
                return False
        return True

    def discard(self, key: str) -> None:
        """Remove a step and its artefact."""
        self._record(key).unlink(missing_ok=True)
        own.remove(self.artefact(key))
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
        found = (self.folder / "failed").glob("*.txt")
        return {path.stem for path in found if own.KEY.fullmatch(path.stem)}

    def write_failure(self, key: str, text: str) -> Path:
        """Keep the error of a step that failed."""
        return self._write(self._failure(key), text)

    def is_empty(self) -> bool:
        """Return whether there is nothing in the folder, or no folder."""
        return own.is_empty(self.folder)

    def is_store(self) -> bool:
        """Return whether the folder was made by a run."""
        return own.is_store(self.folder)

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
        for key, entry in own.keyed(self.folder / "artefacts"):
            if targets or key not in keep:
                freed += _size(Path(entry.path))
                if not dry_run:
                    own.remove(Path(entry.path))
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
        if not own.KEY.fullmatch(key):
            raise ModivaError(f"{key!r} is not the key of a step: {self.folder} is damaged")
        return self.folder / "steps" / key[:2] / f"{key}.json"

    def _failure(self, key: str) -> Path:
        return self.folder / "failed" / f"{key}.txt"


def _size(folder: Path) -> int:
    if folder.is_symlink():
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_size, stat.st_mtime_ns


def _is_record(record: Mapping[str, Any]) -> bool:
    """Return whether the values are those of a step; a checksum shows only that none changed."""
    rows, files = record["rows"], record["files"]
    return (
        all(is_value(value) for row in rows for value in row.values())
        and all(isinstance(text, str) for text in (record["kind"], *files, *files.values()))
        and isinstance(record["seconds"], float | int)
    )


def _checksum(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, allow_nan=False).encode()).hexdigest()
