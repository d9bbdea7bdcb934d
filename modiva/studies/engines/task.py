"""What an engine runs: a task in, an outcome a step back, wherever it runs."""

import errno
import hashlib
import math
import os
import re
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Rows = list[dict[str, Any]]

# A task whose worker died is given to another one this often before it counts as failed.
ATTEMPTS = 3
_MOST = 2**1023  # integers from here on are no float
# Folder of what steps keep from attempt to attempt, in that of what is not finished.
UNFINISHED = "unfinished"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclass(frozen=True)
class Context:
    """What a step may use.

    Args:
        inputs: folders of the artefacts that it needs, by role; to be read only.
        out: an empty folder for its own artefact.
        device: "auto", "cpu" or "cuda".
        shared: belongs to the task; its steps leave each other what they would compute twice.
        unfinished: a folder, not there at first, in which a long step may keep what another attempt
            at it goes on from; it is removed when the step has ended.
    """

    inputs: Mapping[str, Path]
    out: Path
    device: str = "auto"
    shared: dict[str, Any] = field(default_factory=dict)
    unfinished: Path | None = None


class Job(Protocol):
    """What a step computes: a frozen dataclass of its arguments, called with a context."""

    @property
    def kind(self) -> str:
        """A key of `modiva.studies.code.PARTS`: the code that it is made of."""

    def __call__(self, context: Context) -> Rows:
        """Leave an artefact in `context.out`, or measure, and return the rows."""


@dataclass(frozen=True)
class Task:
    """Steps of one kind that read the same artefacts, run in one process one after the other.

    Args:
        steps: key and job of every step.
        needs: role and key of every artefact.
        device: "auto", "cpu" or "cuda".
    """

    steps: tuple[tuple[str, Job], ...]
    needs: tuple[tuple[str, str], ...] = ()
    device: str = "auto"


@dataclass(frozen=True)
class Outcome:
    """What became of one step.

    Args:
        key: of the step.
        rows: what it measured.
        seconds: it took.
        error: text of the error that ended it, or None.
        folder: its artefact on this machine, or None.
        files: SHA-256 of every file of the artefact, by its path in the folder.
        disk: set where the disk and not the step is at fault: the run must stop.
    """

    key: str
    rows: Rows = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    folder: Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    disk: tuple[int, str] | None = None


class Engine(AbstractContextManager["Engine"], Protocol):
    """Runs tasks somewhere; leaving the context ends what still runs."""

    @property
    def slots(self) -> int:
        """How many tasks it takes at once."""

    def submit(self, task: Task, inputs: Mapping[str, Path]) -> None:
        """Start a task; `inputs` are the artefacts of its `needs` on the driver's machine."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Return the outcomes of tasks that have ended, none if none did within `seconds`."""


def perform(task: Task, inputs: Mapping[str, Path], scratch: Path) -> Iterator[Outcome]:
    """Run the steps of a task in this process; an error ends its own step only."""
    shared: dict[str, Any] = {}
    for key, job in task.steps:
        started = time.perf_counter()
        # A name of its own: a worker that died may have left another attempt behind.
        out = scratch / f"{key}-{os.urandom(6).hex()}"
        unfinished = scratch / UNFINISHED / key
        try:
            out.mkdir()
            rows = job(Context(inputs, out, task.device, shared, unfinished))
            _check(rows)
            files = {path: _sha256(out / path) for path in sorted(_files(out))}
        except Exception as error:
            shutil.rmtree(out, ignore_errors=True)
            yield Outcome(key, error=traceback.format_exc(), disk=_disk_error(error))
            continue
        shutil.rmtree(unfinished, ignore_errors=True)
        if not files:
            out.rmdir()
        seconds = time.perf_counter() - started
        yield Outcome(key, rows, seconds, folder=out if files else None, files=files)


def is_value(value: Any) -> bool:
    """Return whether a row can hold a value: a number as a float at least, a text as UTF-8."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, int):
        return -_MOST < value < _MOST
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _check(rows: Rows) -> None:
    """Raise on a value that no table can hold, so that its step fails and not its study."""
    for row in rows:
        for name, value in row.items():
            if not is_value(value):
                raise ValueError(f"a row's {name} is {value!r:.80}, which a table cannot hold")


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _disk_error(error: BaseException) -> tuple[int, str] | None:
    """Return number and text of a disk error; libraries in Rust give it in words only."""
    number = error.errno if isinstance(error, OSError) else None
    told = re.search(r"\(os error (\d+)\)", str(error))
    number = int(told[1]) if number is None and told else number
    return (number, str(error)) if number in _DISK_ERRORS else None
