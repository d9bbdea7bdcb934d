"""One spelling for every sentence: the words that a word-level target sees are decided here."""

import re
import unicodedata

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2018": "'"})
# An apostrophe between two word characters belongs to the word: don't, o'clock.
_MARK = re.compile(r"(?<!\w)'|'(?!\w)|[^\w\s']")


def normalise(text: str) -> str:
    """Return `text` as lower-case words joined by single spaces, punctuation marks being words.

    NFKC, lower case, whitespace folded, punctuation and symbols split from words; apostrophes
    inside a word and combining marks stay in it. Applying it twice changes nothing.

    Args:
        text: any string; may be empty.
    """
    folded = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
    # Lower-casing can undo the composition of a letter with its marks.
    folded = unicodedata.normalize("NFKC", folded)
    return " ".join(_MARK.sub(_spaced, folded).split())


def _spaced(match: re.Match[str]) -> str:
    """Return a mark with spaces around it; combining marks and joiners are part of their word."""
    mark = match.group()
    kind = unicodedata.category(mark)
    if kind[0] in "PS":
        return f" {mark} "
    # Lone surrogates (broken JSON escapes) cannot be written to any file.
    return " " if kind in ("Cc", "Cs") else mark
