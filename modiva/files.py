"""Files and folders that are written whole or not at all."""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modiva.errors import ModivaError

LOCK = ".lock"


def write_bytes(path: Path, data: bytes) -> Path:
    """Write `data` to `path` through a temporary file in the same folder and a rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _part(path, ".part", folder=False) as (part, handle):
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; a result is as readable as the user's umask says.
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all."""
    return write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> Path:
    """Write `value` as indented JSON with a final newline, whole or not at all."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes `path` when the block ends without an error.

    An existing `path` is replaced only then; on an error the temporary folder is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _part(path, ".part", folder=True) as (temporary, _):
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if path.exists():
            with _part(path, ".old", folder=True) as (old, _):
                path.replace(old / path.name)
                try:
                    temporary.replace(path)
                except BaseException:
                    (old / path.name).replace(path)
                    raise
        else:
            temporary.replace(path)
    remove_parts(path.parent, path.name, ".old")


@contextmanager
def exclusive(folder: Path, flag: str = "--out") -> Iterator[None]:
    """Hold a folder, which is made if needed, for one process.

    Args:
        folder: to be held.
        flag: by which users name it.

    Raises:
        ModivaError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        for left in range(3, -1, -1):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not left:
                    raise ModivaError(
                        f"{flag} {folder} is in use by another run: wait for it, or name another"
                    ) from error
            time.sleep(0.05)  # `is_held` looks for an instant
        yield


def is_held(folder: Path) -> bool:
    """Return whether a process holds a folder; this changes nothing in it."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def remove_parts(folder: Path, name: str = "*", suffix: str = ".part") -> None:
    """Remove what killed writers left in a folder; what a running one is writing stays.

    Args:
        folder: where it lies; one that is not there is fine.
        name: of the file or folder that was being written, "*" for all.
        suffix: ".part" of what was not finished, ".old" of what was being replaced.
    """
    pattern = name if name == "*" else _literal(name)
    for left in folder.glob(f".{pattern}.*{suffix}"):
        handle = _locked(left)
        if handle is not None:
            _remove(left)
            os.close(handle)


@contextmanager
def _part(path: Path, suffix: str, *, folder: bool) -> Iterator[tuple[Path, int]]:
    """Open a temporary file or folder beside `path` with its handle, which holds a lock on it.

    The lock tells it from what a killed process left. What is still there at the end is removed.
    """
    if suffix == ".part":
        remove_parts(path.parent, path.name)
    handle: int | None = None
    while handle is None:
        prefix = f".{path.name}."
        if folder:
            part = Path(tempfile.mkdtemp(suffix, prefix, path.parent))
        else:
            made, name = tempfile.mkstemp(suffix, prefix, path.parent)
            os.close(made)
            part = Path(name)
        # None where another process took it for a leftover just now, or where there are no locks.
        handle = _locked(part, wait=True)
        if handle is None and part.exists():
            handle = _opened(part)
    try:
        yield part, handle
    finally:
        _remove(part)
        os.close(handle)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_NOFOLLOW)


def _locked(path: Path, wait: bool = False) -> int | None:
    """Open `path` with a lock; None where another process holds the lock or the file is gone."""
    try:
        handle = _opened(path)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _literal(name: str) -> str:
    """Return a name as a pattern that only it matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
