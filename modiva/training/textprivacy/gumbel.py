"""Truncated Gumbel noise on the distances to a random number of neighbours.

Xu, Aggarwal, Feyisetan and Teissier 2021, "Density-Aware Differentially Private Textual
Perturbations Using Truncated Gumbel Noise".
"""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy import special, stats

from modiva.errors import ModivaError
from modiva.training.textprivacy.mechanism import (
    BLOCK,
    Floats,
    Places,
    Stream,
    WordMechanism,
    blocks,
)

GRID = 1000  # places at which the noise is integrated
# Neighbours that take part, at most: of 30,000 words a larger k has a probability of 1e-28.
MOST = 64


class Gumbel(WordMechanism):
    """The nearest of k neighbours after truncated Gumbel noise on each distance.

    k is Poisson(ln N), truncated to 1 .. N, and a word is the nearest of its own neighbours. The
    claimed log ratio of epsilon times the distance does not hold: an output that is a near
    neighbour of one word and a far one of the other needs a large k, however close the two are. So
    nothing is proven.
    """

    name = "gumbel"

    @property
    def proven(self) -> None:
        """Nothing: the claimed bound is refuted by exact enumeration."""
        return

    @cached_property
    def scale(self) -> float:
        """The scale b of the noise.

        Raises:
            ModivaError: epsilon is too small for this space.
        """
        least, largest = self.space.extremes
        wanted = 2 * (1 + math.log(len(self.space)))
        a = (self.epsilon - wanted / least) / 3 if least > 0 else -math.inf
        if a * least <= 1:
            floor = (3 + wanted) / least if least > 0 else math.inf
            raise ModivaError(
                f"gumbel:{self.epsilon:g}: on {len(self.space)} words, the nearest two "
                f"{least:.3g} apart, epsilon must be above {floor:.4g}"
            )
        return 2 * largest / min(float(special.lambertw(2 * a * largest).real), math.log(a * least))

    def draw(self, types: Sequence[str], tokens: Places, rngs: Sequence[Stream]) -> Places:
        """Draw k and the noise of each token; only the k nearest words take part."""
        most = len(self._weights)
        near, gaps = self._nearest(types, most)
        drawn = np.empty(len(tokens), dtype=np.intp)
        for rng, block in blocks(rngs):
            own = tokens[block]
            numbers = self._neighbours(rng.random(len(own)))  # (b,)
            uniform = rng.random((len(own), most))
            noisy = gaps[own] + _truncated(uniform, self.space.extremes[1], self.scale)
            noisy[np.arange(most) >= numbers[:, None]] = np.inf
            drawn[block] = near[own, noisy.argmin(axis=1)]
        return drawn

    def log_likelihoods(self, words: Sequence[str]) -> Floats:
        """Return log P(output | word), (n, N), by integration; minus infinity for 0."""
        near, gaps = self._nearest(words, len(self._weights))
        logs = np.full((len(words), len(self.space)), -np.inf)
        for row, (own, distances) in enumerate(zip(near, gaps, strict=True)):
            with np.errstate(divide="ignore"):
                logs[row, own] = np.log(self._chances(distances))
        return logs

    def _chances(self, gaps: Floats) -> Floats:
        """Return the probability (K,) that each of the nearest words is drawn."""
        bound = self.space.extremes[1]
        edges = np.linspace(-bound, bound + gaps[-1], GRID + 1)
        middles = (edges[:-1] + edges[1:]) / 2
        mass = np.diff(_cumulative(edges - gaps[:, None], bound, self.scale), axis=1)  # (K, G)
        alive = 1 - _cumulative(middles - gaps[:, None], bound, self.scale)
        total, others = np.zeros(len(gaps)), np.ones(GRID)
        for k, weight in enumerate(self._weights, start=1):
            others = others * alive[k - 1]  # that none of the k nearest lies below
            rest = np.divide(others, alive[:k], out=np.zeros((k, GRID)), where=alive[:k] > 0)
            won = (mass[:k] * rest).sum(axis=1)
            total[:k] += weight * won / won.sum()
        return total

    @cached_property
    def _weights(self) -> Floats:
        """Probabilities of k = 1 .. K, (K,): Poisson(ln N) given that it is 1 .. N."""
        size = len(self.space)
        chances: Floats = stats.poisson(math.log(size)).pmf(np.arange(1, min(size, MOST) + 1))
        chances /= chances.sum()
        return chances

    def _neighbours(self, uniform: Floats) -> Places:
        mass = self._weights.cumsum()
        places: Places = np.searchsorted(mass, uniform * mass[-1], side="right") + 1
        return np.minimum(places, len(mass))

    def _nearest(self, words: Sequence[str], number: int) -> tuple[Places, Floats]:
        """Return places and distances (n, k) of the nearest words of the space, nearest first."""
        near, gaps = [], []
        for start in range(0, len(words), BLOCK):
            distances = self.space.distances(words[start : start + BLOCK])
            own = np.argpartition(distances, number - 1, axis=1)[:, :number]
            found = np.take_along_axis(distances, own, axis=1).astype(float)
            order = np.argsort(found, axis=1, kind="stable")
            near.append(np.take_along_axis(own, order, axis=1))
            gaps.append(np.take_along_axis(found, order, axis=1))
        return np.concatenate(near), np.concatenate(gaps)


def _truncated(uniform: Floats, bound: float, scale: float) -> Floats:
    """Return Gumbel(0, scale) noise on (-bound, bound) from uniform numbers, by inversion."""
    low, high = np.exp(-np.exp(bound / scale)), np.exp(-np.exp(-bound / scale))
    noise: Floats = -scale * np.log(-np.log(low + uniform * (high - low)))
    return noise


def _cumulative(x: Floats, bound: float, scale: float) -> Floats:
    """Return the distribution function of `_truncated` noise."""
    low, high = np.exp(-np.exp(bound / scale)), np.exp(-np.exp(-bound / scale))
    inside = np.exp(-np.exp(-np.clip(x, -bound, bound) / scale))
    share: Floats = (inside - low) / (high - low)
    return share
