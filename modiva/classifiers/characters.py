"""The spelling of every word of a vocabulary as a table of character ids."""

from collections.abc import Sequence

import torch

from modiva.classifiers.configuration import PAD_ID, UNKNOWN_ID

LONGEST = 12


def spelling_table(words: Sequence[str]) -> tuple[torch.Tensor, int]:
    """Spell the words of a vocabulary.

    Args:
        words: words by id; those at `PAD_ID` and `UNKNOWN_ID` have no spelling.

    Returns:
        The table (V, L) int32, padded with 0 to the longest word and cut at `LONGEST` characters,
        and the number of character ids, padding (0) and unknown (1, the spelling of the unknown
        word) included.
    """
    special = (PAD_ID, UNKNOWN_ID)
    alphabet = sorted({c for i, word in enumerate(words) if i not in special for c in word})
    number = {character: index for index, character in enumerate(alphabet, start=2)}
    width = min(LONGEST, max((len(w) for i, w in enumerate(words) if i not in special), default=1))
    table = torch.full((len(words), width), PAD_ID, dtype=torch.int32)
    table[UNKNOWN_ID, 0] = UNKNOWN_ID
    for row, word in enumerate(words):
        if row not in special:
            spelling = [number[character] for character in word[:width]]
            table[row, : len(spelling)] = torch.tensor(spelling, dtype=torch.int32)
    return table, len(alphabet) + 2
