"""The words of a pattern's sentence: which hold a secret, and what they may be."""

import itertools
import math
from collections.abc import Sequence

from canaries import Pattern, SecretSpace
from canaries.spelling import split_words

Word = Sequence[str | SecretSpace]
LISTED = 20_000  # words of glued slots up to which all are listed


def secret_words(pattern: Pattern) -> list[tuple[int, list[str] | None]]:
    """Return place and options of each word that holds a slot; None: too many to be listed."""
    found = []
    for place, word in enumerate(split_words(pattern.parts)):
        if any(isinstance(part, SecretSpace) for part in word):
            found.append((place, _options(word)))
    return found


def word_parts(pattern: Pattern) -> list[list[str | SecretSpace]]:
    """Return the pieces of text and slots of each word."""
    return split_words(pattern.parts)


def _options(word: Word) -> list[str] | None:
    options = [[part] if isinstance(part, str) else list(part.options) for part in word]
    if math.prod(map(len, options)) > LISTED:
        return None
    return ["".join(choice) for choice in itertools.product(*options)]
