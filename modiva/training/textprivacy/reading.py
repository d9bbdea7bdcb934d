"""Who reads the protected sentences: what the copies of a canary give away of its secret."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from canaries import Pattern
from canaries.spelling import read_word
from modiva.training.textprivacy.mechanism import Floats, Mechanism, WordMechanism
from modiva.training.textprivacy.words import Word, secret_words, word_parts

COMPARED = 2_000  # words whose likelihoods are compared; of more a vote is taken


class Reader:
    """An adversary who has all rewritten copies of a sentence, its pattern and the mechanism.

    Args:
        mechanism: that rewrote them.
    """

    def __init__(self, mechanism: Mechanism) -> None:
        self.mechanism = mechanism
        self._logs: tuple[Sequence[str], Floats | None] = ((), None)  # of the last options
        self._epsilons: dict[tuple[Pattern, int], float | None] = {}

    def secret_epsilon(self, pattern: Pattern, copies: int) -> float | None:
        """Return what bounds the reader of so many copies; None without a bound, or copies."""
        if not copies:
            return None
        known = pattern, copies
        if known not in self._epsilons:
            self._epsilons[known] = self.mechanism.secret_epsilon(pattern, copies)
        return self._epsilons[known]

    def decode(self, pattern: Pattern, copies: Sequence[str]) -> tuple[str, ...]:
        """Return the secret that the copies point to.

        Each word is decoded by maximum likelihood where the mechanism's probabilities are known,
        else by the vote of the copies that still hold an option; without any, the first option is
        guessed.

        Args:
            pattern: of the sentence.
            copies: those with another number of words tell nothing of where the secret stood.
        """
        parts = word_parts(pattern)
        outputs = [own for own in map(str.split, copies) if len(own) == len(parts)]
        secret: list[str] = []
        for place, options in secret_words(pattern):
            column = [own[place] for own in outputs]
            found = self._likeliest(options, column) or _voted(parts[place], column)
            read = None if found is None else read_word(parts[place], found)
            guess = [part.options[0] for part in parts[place] if not isinstance(part, str)]
            secret += guess if read is None else read
        return tuple(secret)

    def _likeliest(self, options: Sequence[str] | None, outputs: Sequence[str]) -> str | None:
        """Return the option under which the outputs are likeliest; None where that is unknown."""
        if options is None or len(options) > COMPARED or not outputs:
            return None
        if not isinstance(self.mechanism, WordMechanism):
            return None
        if self._logs[0] != options:
            self._logs = options, self.mechanism.log_likelihoods(options)
        logs = self._logs[1]
        if logs is None:
            return None
        places = [self.mechanism.space.places[word] for word in outputs]
        # An output that is impossible under all options must not hide the others.
        return options[int(np.maximum(logs[:, places], -1e6).sum(axis=1).argmax())]


def _voted(word: Word, outputs: Sequence[str]) -> str | None:
    """Return the option that most outputs are; None where none is one."""
    votes = Counter(output for output in outputs if read_word(word, output) is not None)
    return votes.most_common(1)[0][0] if votes else None
