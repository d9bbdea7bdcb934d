"""What must hold of every command, whatever it is given."""

import io
import os
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

from modiva.cli import main

# MODIVA_FUZZ=100 runs a hundred times as many examples as CI does, other ones each time.
SCALE = int(os.environ.get("MODIVA_FUZZ", "0"))
SLOWEST = 60  # seconds of a processor, of one command on tiny input
LONGEST = 4000  # characters of an error: it is read on a screen


@dataclass(frozen=True)
class Outcome:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


def fuzzed(examples: int) -> settings:
    """The settings of a fuzz test: in CI the same examples each time, and no search for less."""
    shrink = (Phase.shrink,) if SCALE else ()
    return settings(
        max_examples=examples * max(SCALE, 1),
        derandomize=not SCALE,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, *shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=bool(SCALE),
    )


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A folder of one example."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


def modiva(*arguments: object) -> Outcome:
    """Run one command in this process; exit code 0, or 2 with one line, and never a traceback."""
    # Encoded as a terminal's are: what cannot be printed is an error here too.
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(
        io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True
    )
    parsed, started = True, time.process_time()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:  # of the parser, which explains a flag in several lines
            code, parsed = int(stopped.code or 0), False
    printed, said = (stream.buffer.getvalue().decode() for stream in (out, err))
    took = time.process_time() - started
    assert took < SLOWEST, f"{took:.0f} s for {arguments}"
    assert code in (0, 2), f"exit code {code}: {said}"
    assert "Traceback" not in said, said
    if code == 2 and parsed:
        before, _, message = said.rpartition("modiva: ")
        assert not before.rpartition("\n")[2].strip("\r \x1b[A"), (
            f"not at the start of a line: {said}"
        )
        assert message.endswith("\n"), said
        odd = [c for c in message[:-1] if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")]
        assert not odd, f"{odd} in the error: {message!r}"
        assert message.strip(), "an error without words"
        assert len(message) < LONGEST, f"an error of {len(message)} characters: {message[:300]}"
    return Outcome(code, printed, said)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by its name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
