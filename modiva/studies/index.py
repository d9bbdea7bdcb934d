"""The index of a store: an SQLite file that holds the finished steps and their rows.

It is a copy of the files in steps/ and is never believed by itself. The file ends in the SHA-256
of all that stands before it, which is compared before anything is read: an index with one other
byte is left unread and rebuilt from the steps. It is written whole at the end of a run; until
then changes are in a private copy. Each kind of step has a table of rows, whose columns are those
that its steps measured.
"""

import errno
import hashlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Stamp = tuple[int, int]  # size and time of change of a file, in bytes and nanoseconds

# Raised with the layout below: an index of another one is rebuilt.
VERSION = 3
_LAYOUT = """
CREATE TABLE steps (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, kind TEXT NOT NULL,
    size INTEGER NOT NULL, changed INTEGER NOT NULL, seconds REAL NOT NULL, files INTEGER NOT NULL
);
"""
_SEAL = hashlib.sha256().digest_size  # bytes; SQLite reads whole pages and ignores them


class Index:
    """The steps and rows of one store; changes are kept once `save` is called."""

    def __init__(self, path: Path) -> None:
        """Open the index, or start an empty one where there is none that is whole."""
        self._path = path
        self.changed = False
        doubt: object = None
        if os.path.lexists(path):
            try:
                doubt = None if _is_sealed(path) else "is not as it was written"
                if doubt is None:
                    # Nothing changes this file: `save` puts another one in its place.
                    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
                    self._use(sqlite3.connect(address, uri=True, isolation_level=None))
                    return
            except (OSError, sqlite3.DatabaseError) as error:
                doubt = f"cannot be read ({error})"
        if doubt is not None:
            logger.warning("%s %s: it is rebuilt from the steps", path, doubt)
        self.changed = True
        self._use(_private())

    def _use(self, connection: sqlite3.Connection) -> None:
        """Read from `connection` from now on."""
        self._connection = connection
        run = connection.execute
        if run("PRAGMA user_version").fetchone()[0] != VERSION:
            raise sqlite3.DatabaseError("it has another layout")
        self._columns = {
            kind: [row[1] for row in run(f"PRAGMA table_info({_table(kind)})")][2:]
            for (kind,) in run("SELECT DISTINCT kind FROM steps").fetchall()
        }
        self._stamps = {
            key: (size, changed)
            for key, size, changed in run("SELECT key, size, changed FROM steps")
        }

    def close(self) -> None:
        """Close the index; what was not saved is lost."""
        self._connection.close()

    def save(self, scratch: Path) -> None:
        """Put the index in its place, whole and sealed.

        Args:
            scratch: an existing folder on the same disk.

        Raises:
            OSError: it cannot be written.
        """
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        part = scratch / self._path.name
        try:
            with closing(sqlite3.connect(part)) as copy:
                self._connection.backup(copy)
        except sqlite3.OperationalError as error:
            raise _as_os_error(error, part) from error
        with part.open("r+b") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0, os.SEEK_END)
            file.write(digest)
        if self._path.is_dir() and not self._path.is_symlink():
            shutil.rmtree(self._path)
        part.replace(self._path)
        self.changed = False

    def stamps(self) -> dict[str, Stamp]:
        """Return size and time of change of the file of every step, by key."""
        return self._stamps

    def add(self, record: Mapping[str, Any], stamp: Stamp) -> None:
        """Add a finished step with its rows, or put it in the place of an older one."""
        rows: Sequence[Mapping[str, Any]] = record["rows"]
        with self._writing() as run:
            self._delete(record["key"])
            cursor = run(
                "INSERT INTO steps (key, kind, size, changed, seconds, files) VALUES (?,?,?,?,?,?)",
                (record["key"], record["kind"], *stamp, record["seconds"], len(record["files"])),
            )
            step = cursor.lastrowid
            names = list(dict.fromkeys(name for row in rows for name in row))
            table = _table(record["kind"])
            run(
                f"CREATE TABLE IF NOT EXISTS {table} (step INTEGER, position INTEGER, "
                "PRIMARY KEY (step, position)) WITHOUT ROWID"
            )
            known = self._columns.setdefault(record["kind"], [])
            for name in names:
                if name not in known:
                    run(f"ALTER TABLE {table} ADD COLUMN {quoted(name)}")
                    known.append(name)
            if rows:
                columns = ", ".join(["step", "position", *map(quoted, names)])
                self._connection.executemany(
                    f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * (len(names) + 2))})",
                    (
                        (step, position, *(row.get(name) for name in names))
                        for position, row in enumerate(rows)
                    ),
                )
        self._stamps[record["key"]] = stamp

    def drop(self, keys: Iterable[str]) -> None:
        """Forget steps."""
        for key in [key for key in keys if key in self._stamps]:
            with self._writing():
                self._delete(key)
            del self._stamps[key]

    def _delete(self, key: str) -> None:
        run = self._connection.execute
        for step, kind in run("SELECT id, kind FROM steps WHERE key = ?", (key,)).fetchall():
            run(f"DELETE FROM {_table(kind)} WHERE step = ?", (step,))
            run("DELETE FROM steps WHERE id = ?", (step,))

    def columns(self, kind: str) -> list[str]:
        """Return the column names of a kind's rows, in the order of their first measurement."""
        return list(self._columns.get(kind, ()))

    def select(
        self,
        kind: str,
        wanted: Iterable[tuple[int, int, str]],
        columns: Sequence[str],
        size: int = 20_000,
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield blocks of rows: two numbers of the caller's, then `columns`, in any order.

        Args:
            kind: of the steps; those of another kind have no rows here.
            wanted: (number, number, key of a step); a step may be wanted more than once.
            columns: names of columns of rows.
            size: rows a block.
        """
        if kind not in self._columns:
            return
        run = self._connection.execute
        run("CREATE TEMP TABLE IF NOT EXISTS wanted (first INTEGER, second INTEGER, step INTEGER)")
        run("DELETE FROM wanted")
        ids = dict(run("SELECT key, id FROM steps"))
        self._connection.executemany(
            "INSERT INTO wanted VALUES (?, ?, ?)",
            ((first, second, ids[key]) for first, second, key in wanted if key in ids),
        )
        names = ", ".join(["first", "second", *(f"own.{quoted(name)}" for name in columns)])
        cursor = run(f"SELECT {names} FROM wanted CROSS JOIN {_table(kind)} AS own USING (step)")
        while block := cursor.fetchmany(size):
            yield block

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        try:
            if not self.changed:
                self._use(_private(self._connection))
                self.changed = True
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN")
            yield self._connection.execute
        except sqlite3.OperationalError as error:
            raise _as_os_error(error, self._path) from error


def _private(source: sqlite3.Connection | None = None) -> sqlite3.Connection:
    """Return a database of this process alone, which goes to a temporary file once it is large."""
    connection = sqlite3.connect("", isolation_level=None)
    if source is None:
        connection.executescript(f"{_LAYOUT} PRAGMA user_version = {VERSION};")
    else:
        source.backup(connection)
        source.close()
    return connection


def _is_sealed(path: Path) -> bool:
    """Return whether a file ends in the SHA-256 of what stands before it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - _SEAL
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        return left == 0 and file.read() == digest.digest()


def _table(kind: str) -> str:
    """Return the table of the rows of a kind of step."""
    return quoted(f"rows of {kind}")


def quoted(name: str) -> str:
    """Quote a column's name as SQL, so that no name can end the statement."""
    return '"' + name.replace('"', '""') + '"'


def _as_os_error(error: sqlite3.OperationalError, path: Path) -> OSError:
    """Raise SQLite's error of a full or read-only disk as the system's error."""
    full = "full" in str(error) or "disk I/O" in str(error)
    number = errno.ENOSPC if full else errno.EROFS if "readonly" in str(error) else errno.EIO
    return OSError(number, f"{error}", str(path))
