"""What a terminal can show: every command's output survives an encoding that lacks its signs."""

import codecs
import io
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from canaries.reading import one_line, shown

_HANDLER = "modiva.plain"
# Signs of our own tables and sentences in ASCII; what is not here is escaped, which loses nothing.
_PLAIN: Mapping[str, str] = {
    "∞": "inf",
    "ε": "eps",
    "δ": "delta",
    "σ": "sigma",
    "–": "-",
    "—": "-",
    "−": "-",
    "·": "*",
    "×": "x",
    "…": "...",
    "•": "*",
    "≥": ">=",
    "≤": "<=",
    "\u00a0": " ",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "±": "+-",
    "→": "->",
}


def prepare_output() -> None:
    """Let standard output and error write what their encoding lacks in other signs."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        # What stands in for a stream, as in a notebook, may have no encoding to lack anything.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


@contextmanager
def escaped_output() -> Iterator[None]:
    """Print control characters as escapes: names and labels are of others."""
    with redirect_stdout(_Escaped(sys.stdout)):
        yield


class _Escaped(io.TextIOBase):
    """A text stream that moves and colours no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(shown(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


class OneLine(logging.Formatter):
    """Write a record as one line without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return one_line(super().format(record))


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    one = UnicodeEncodeError(error.encoding, sign, 0, 1, error.reason)
    return _PLAIN.get(sign) or codecs.backslashreplace_errors(one)[0], error.start + 1
