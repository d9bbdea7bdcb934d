"""One clear line for any error of the libraries that read what others wrote."""

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.utils import logging

from attacks.errors import AttackError

_LONGEST = 300  # characters of a library's message that are shown
_NUMBER = re.compile(r"\(os error (\d+)\)")


@contextmanager
def guarded(says: str) -> Iterator[None]:
    """Turn whatever a library raises inside into an AttackError of one line; keep it quiet.

    For calls into transformers, safetensors and tokenizers alone: errors of our own code must not
    pass through here.

    Args:
        says: what failed; the library's own words follow it.

    Raises:
        AttackError: in place of any error but an AttackError.
    """
    with quiet(), warnings.catch_warnings(action="ignore"):
        try:
            yield
        except (AttackError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a panic of Rust code is no Exception
            raise AttackError(f"{says}: {cause(error)}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing its own bars and load reports while ours are on the screen."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """Raise what Rust code says of the system, such as of a full disk, as the OSError that it is.

    Args:
        path: what is written inside.

    Raises:
        OSError: in place of an error of safetensors or tokenizers that has the system's number.
    """
    try:
        yield
    except Exception as error:  # tokenizers has no class of its own
        found = _NUMBER.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


@contextmanager
def panics_unseen() -> Iterator[None]:
    """Keep Rust code from writing a stack trace to standard error before its panic is raised."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # the process has no standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def cause(error: BaseException) -> str:
    """Return the kind of an error and the beginning of its message, as one line.

    Two lines of it: the first of several libraries' says only that something is wrong.
    """
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    if isinstance(error, MemoryError):
        lines = ["it asks for more memory than there is"]
    text = " ".join(lines[:2])
    name = type(error).__name__
    text = f"{name}: {text}" if text else name
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
