"""The index of a store: an SQLite file that holds the finished steps and their rows.

It is a copy of the files in steps/ and is never believed by itself. The file ends in the SHA-256
of all that stands before it, which is compared before anything is read: an index with one other
byte is left unread and rebuilt from the steps. It is written whole at the end of a run; until
then changes are in a private copy. Each kind of step has a table of rows, whose columns are those
that its steps measured.

A step and its rows are one transaction, which any error or interrupt rolls back.
"""

import errno
import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Stamp = tuple[int, int]  # size and time of change of a file, in bytes and nanoseconds

# Raised with the layout below: an index of another one is rebuilt.
VERSION = 4
_LAYOUT = """
CREATE TABLE steps (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, kind TEXT NOT NULL,
    size INTEGER NOT NULL, changed INTEGER NOT NULL, digest TEXT NOT NULL, rows INTEGER NOT NULL
);
"""
_SEAL = hashlib.sha256().digest_size  # bytes; SQLite reads whole pages and ignores them


class Index:
    """The steps and rows of one store; changes are kept once `save` is called."""

    def __init__(self, path: Path, doubt: object = None) -> None:
        """Open the index, or start an empty one where there is none that is whole.

        Args:
            path: its file.
            doubt: why the file is not to be believed, if it is not.
        """
        self._path = path
        self.changed = False
        if doubt is None and os.path.lexists(path):
            try:
                doubt = None if _is_sealed(path) else "is not as it was written"
                if doubt is None:
                    # Nothing changes this file: `save` puts another one in its place.
                    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
                    self._use(sqlite3.connect(address, uri=True, isolation_level=None))
                    return
            except (OSError, sqlite3.Error) as error:
                doubt = f"cannot be read ({error})"
        if doubt is not None:
            logger.warning("%s %s: it is rebuilt from the steps", path, doubt)
        self._use(_private())
        self.changed = True

    def _use(self, connection: sqlite3.Connection) -> None:
        """Read from `connection` from now on."""
        self._connection = connection
        run = connection.execute
        if run("PRAGMA user_version").fetchone()[0] != VERSION:
            raise sqlite3.DatabaseError("it has another layout")
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
        self._roll_back()
        part = scratch / self._path.name
        part.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(part)) as copy:
                self._connection.backup(copy)
        except sqlite3.Error as error:
            raise _as_os_error(error, part) from error
        with part.open("r+b") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0, os.SEEK_END)
            file.write(digest)
        if self._path.is_dir() and not self._path.is_symlink():
            self._path.rmdir()  # which refuses one that holds anything
        part.replace(self._path)
        self.changed = False

    def stamps(self) -> dict[str, Stamp]:
        """Return size and time of change of the file of every step, by key."""
        return self._stamps

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the file of every step that has all of its rows here, by key."""
        run = self._connection.execute
        found: dict[str, str] = {}
        for (kind,) in run("SELECT DISTINCT kind FROM steps").fetchall():
            found.update(
                run(
                    "SELECT key, digest FROM steps LEFT JOIN (SELECT step, COUNT(*) AS own "
                    f"FROM {_table(kind)} GROUP BY step) ON step = id "
                    "WHERE kind = ? AND rows = COALESCE(own, 0)",
                    (kind,),
                )
            )
        return found

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Return whether the rows of a step are those of its record, value by value."""
        run = self._connection.execute
        found = run("SELECT id, kind FROM steps WHERE key = ?", (record["key"],)).fetchone()
        if found is None or found[1] != record["kind"]:
            return False
        names = self.columns(record["kind"])
        rows = run(f"SELECT * FROM {_table(found[1])} WHERE step = ? ORDER BY position", found[:1])
        known = [dict(zip(names, row[2:], strict=True)) for row in rows]
        return len(known) == len(record["rows"]) and all(
            own.keys() <= other.keys() and all(other[n] == _cell(own.get(n)) for n in other)
            for own, other in zip(record["rows"], known, strict=True)
        )

    def add(self, record: Mapping[str, Any], stamp: Stamp, digest: str) -> None:
        """Add a finished step with its rows, or put it in the place of an older one.

        Args:
            record: of the step, with its key, kind and rows.
            stamp: of its file.
            digest: SHA-256 of its file.
        """
        key, kind = record["key"], record["kind"]
        rows: Sequence[Mapping[str, Any]] = record["rows"]
        with self._transaction() as run:
            self._delete(key)
            run(
                f"CREATE TABLE IF NOT EXISTS {_table(kind)} (step INTEGER, position INTEGER, "
                "PRIMARY KEY (step, position)) WITHOUT ROWID"
            )
            (step,) = run("SELECT COALESCE(MAX(id), 0) + 1 FROM steps").fetchone()
            self._insert(kind, step, rows)
            # Last: a step that is here has all of its rows.
            run(
                "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)",
                (step, key, kind, *stamp, digest, len(rows)),
            )
        self._stamps[key] = stamp

    def _insert(self, kind: str, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows of a step, in columns that are made where they are missing."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        known = set(self.columns(kind))
        for name in names:
            if name not in known:
                self._connection.execute(f"ALTER TABLE {_table(kind)} ADD COLUMN {quoted(name)}")
        columns = ", ".join(["step", "position", *map(quoted, names)])
        self._connection.executemany(
            f"INSERT INTO {_table(kind)} ({columns}) VALUES ({', '.join('?' * (len(names) + 2))})",
            (
                (step, position, *(_cell(row.get(name)) for name in names))
                for position, row in enumerate(rows)
            ),
        )

    def drop(self, keys: Iterable[str]) -> None:
        """Forget steps."""
        for key in [key for key in keys if key in self._stamps]:
            with self._transaction():
                self._delete(key)
            del self._stamps[key]

    def _delete(self, key: str) -> None:
        run = self._connection.execute
        for step, kind in run("SELECT id, kind FROM steps WHERE key = ?", (key,)).fetchall():
            run("DELETE FROM steps WHERE id = ?", (step,))
            run(f"DELETE FROM {_table(kind)} WHERE step = ?", (step,))

    def columns(self, kind: str) -> list[str]:
        """Return the column names of a kind's rows, in the order of their first measurement."""
        found = self._connection.execute(f"PRAGMA table_info({_table(kind)})")
        return [row[1] for row in found][2:]

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
        run = self._connection.execute
        if not run(f"PRAGMA table_info({_table(kind)})").fetchone():
            return
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
    def _transaction(self) -> Iterator[Any]:
        """Begin a transaction in a private copy; it is kept whole, or not at all."""
        if not self.changed:
            source = self._connection
            self._connection = _private(source)
            self.changed = True
            source.close()
        try:
            self._roll_back()
            self._connection.execute("BEGIN")
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if _is_full(error):
                raise _as_os_error(error, self._path) from error
            raise
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        """Undo what an interrupt has left half done."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _private(source: sqlite3.Connection | None = None) -> sqlite3.Connection:
    """Return a database of this process alone, which goes to a temporary file once it is large."""
    connection = sqlite3.connect("", isolation_level=None)
    if source is None:
        connection.executescript(f"{_LAYOUT} PRAGMA user_version = {VERSION};")
    else:
        source.backup(connection)
    return connection


def _cell(value: Any) -> Any:
    """Return a value as SQLite holds it: an integer of more than 64 bits is a float."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


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


def _is_full(error: sqlite3.Error) -> bool:
    return "full" in str(error) or "disk I/O" in str(error)


def _as_os_error(error: sqlite3.Error, path: Path) -> OSError:
    """Return SQLite's error of a full or read-only disk as the system's error."""
    number = (
        errno.ENOSPC if _is_full(error) else errno.EROFS if "readonly" in str(error) else errno.EIO
    )
    return OSError(number, f"{error}", str(path))
