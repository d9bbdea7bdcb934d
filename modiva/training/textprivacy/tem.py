"""TEM, the truncated exponential mechanism (Carvalho et al. 2021, arXiv 2107.07928)."""

import math
from collections.abc import Sequence

import numpy as np

from modiva.training.textprivacy.mechanism import BLOCK, Floats, Places, Stream, WordMechanism

BETA = 1e-3  # probability that a word beyond the radius is drawn, at most


class Tem(WordMechanism):
    """P(output | word) proportional to exp(-(epsilon / 2) min(d, gamma)).

    The log ratio of two words is at most epsilon min(d, gamma): the mechanism is also purely
    differentially private, with epsilon gamma per word.
    """

    name = "tem"

    @property
    def gamma(self) -> float:
        """The distance beyond which all words are alike."""
        return 2 / self.epsilon * math.log((1 - BETA) * (len(self.space) - 1) / BETA)

    def log_likelihoods(self, words: Sequence[str]) -> Floats:
        """Return log P(output | word), (n, N)."""
        scores = self._scores(words)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return scores

    def draw(self, types: Sequence[str], tokens: Places, rngs: Sequence[Stream]) -> Places:
        """Draw by inversion: one distribution per word type, one uniform number per token."""
        uniform = np.concatenate([rng.random(number) for rng, number in rngs])
        order = np.argsort(tokens, kind="stable")
        starts = np.searchsorted(tokens[order], np.arange(len(types) + 1))
        drawn = np.empty(len(tokens), dtype=np.intp)
        for first in range(0, len(types), BLOCK):
            weights = np.exp(self._scores(types[first : first + BLOCK]))
            for number, row in enumerate(weights, start=first):
                own = order[starts[number] : starts[number + 1]]
                mass = row.cumsum()
                drawn[own] = np.searchsorted(mass, uniform[own] * mass[-1], side="right")
        return drawn.clip(max=len(self.space) - 1)

    def widest(self, options: Sequence[str]) -> float:
        """Return the exact largest log ratio of two of some words, over all outputs."""
        most = np.full(len(self.space), -np.inf)
        least = np.full(len(self.space), np.inf)
        for first in range(0, len(options), BLOCK):
            logs = self.log_likelihoods(options[first : first + BLOCK])
            most = np.maximum(most, logs.max(axis=0))
            least = np.minimum(least, logs.min(axis=0))
        return float((most - least).max())

    def _scores(self, words: Sequence[str]) -> Floats:
        scores = self.space.distances(words)
        np.minimum(scores, self.gamma, out=scores)
        scores *= -self.epsilon / 2
        return scores
