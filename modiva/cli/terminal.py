"""What a terminal can show: every command's output survives an encoding that lacks its signs."""

import codecs
import io
import sys
from collections.abc import Mapping

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


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    one = UnicodeEncodeError(error.encoding, sign, 0, 1, error.reason)
    return _PLAIN.get(sign) or codecs.backslashreplace_errors(one)[0], error.start + 1
