"""The index of a store: an SQLite file that holds the finished steps and their rows.

It is a copy of the files in steps/ and lives no longer than they do: where it is damaged it is
removed and made again from them. Columns of rows are those that the steps measured.
"""

import errno
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Stamp = tuple[int, int]  # size and time of change of a file, in bytes and nanoseconds

# Raised with the layout below: an index of another one is made again.
VERSION = 1
_LAYOUT = """
CREATE TABLE steps (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, kind TEXT NOT NULL,
    size INTEGER NOT NULL, changed INTEGER NOT NULL, seconds REAL NOT NULL, files INTEGER NOT NULL
);
CREATE TABLE rows (step INTEGER, position INTEGER, PRIMARY KEY (step, position)) WITHOUT ROWID;
"""


class Index:
    """The steps and rows of one store; changes count once `commit` is called."""

    def __init__(self, path: Path) -> None:
        """Open the index, or make an empty one where there is none that can be read."""
        self._path = path
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise _as_os_error(error, path) from error
            self._make_again(error)

    def _open(self) -> None:
        # Commits are explicit; a killed writer leaves the last committed state.
        self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        if run("PRAGMA user_version").fetchone()[0] != VERSION:
            if run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError("it has another layout")
            self._connection.executescript(f"{_LAYOUT} PRAGMA user_version = {VERSION};")
        self._columns = [row[1] for row in run("PRAGMA table_info(rows)")][2:]
        self._stamps = {
            key: (size, changed)
            for key, size, changed in run("SELECT key, size, changed FROM steps")
        }

    def _make_again(self, error: Exception) -> None:
        logger.warning("%s is damaged (%s): it is made again from the steps", self._path, error)
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def stamps(self) -> dict[str, Stamp]:
        """Size and time of change of the file of every step, by key."""
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
            for name in names:
                if name not in self._columns:
                    run(f"ALTER TABLE rows ADD COLUMN {quoted(name)}")
                    self._columns.append(name)
            if rows:
                columns = ", ".join(["step", "position", *map(quoted, names)])
                self._connection.executemany(
                    f"INSERT INTO rows ({columns}) VALUES ({', '.join('?' * (len(names) + 2))})",
                    (
                        (step, position, *(row.get(name) for name in names))
                        for position, row in enumerate(rows)
                    ),
                )
        self._stamps[record["key"]] = stamp

    def drop(self, keys: Iterable[str]) -> None:
        """Forget steps."""
        with self._writing():
            for key in list(keys):
                self._delete(key)
                self._stamps.pop(key, None)

    def _delete(self, key: str) -> None:
        run = self._connection.execute
        found = run("SELECT id FROM steps WHERE key = ?", (key,)).fetchone()
        if found:
            run("DELETE FROM rows WHERE step = ?", found)
            run("DELETE FROM steps WHERE id = ?", found)

    def commit(self) -> None:
        """Make what was added and dropped count."""
        if self._connection.in_transaction:
            with self._writing() as run:
                run("COMMIT")

    def columns(self) -> list[str]:
        """Names of the columns of rows, in the order in which they were first measured."""
        return list(self._columns)

    def select(
        self, wanted: Iterable[tuple[int, int, str]], columns: Sequence[str], size: int = 20_000
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield blocks of rows: two numbers of the caller's, then `columns`, in any order.

        Args:
            wanted: (number, number, key of a step); a step may be wanted more than once.
            columns: names of columns of rows.
            size: rows a block.
        """
        run = self._connection.execute
        run("CREATE TEMP TABLE IF NOT EXISTS wanted (first INTEGER, second INTEGER, step INTEGER)")
        run("DELETE FROM wanted")
        ids = dict(run("SELECT key, id FROM steps"))
        self._connection.executemany(
            "INSERT INTO wanted VALUES (?, ?, ?)",
            ((first, second, ids[key]) for first, second, key in wanted if key in ids),
        )
        names = ", ".join(["first", "second", *(f"rows.{quoted(name)}" for name in columns)])
        cursor = run(f"SELECT {names} FROM wanted CROSS JOIN rows USING (step)")
        while block := cursor.fetchmany(size):
            yield block

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN")
            yield self._connection.execute
        except sqlite3.OperationalError as error:
            raise _as_os_error(error, self._path) from error


def quoted(name: str) -> str:
    """A name of a column as SQL: whatever a step calls a column cannot end the statement."""
    return '"' + name.replace('"', '""') + '"'


def _as_os_error(error: sqlite3.OperationalError, path: Path) -> OSError:
    """SQLite's word for a disk that is full or cannot be written, as the system's error."""
    full = "full" in str(error) or "disk I/O" in str(error)
    number = errno.ENOSPC if full else errno.EROFS if "readonly" in str(error) else errno.EIO
    return OSError(number, f"{error}", str(path))
