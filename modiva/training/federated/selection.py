"""Which clients take part in a round: uniformly, or by their activity."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def inclusion(sizes: Integers, power: float, per_round: int) -> Floats:
    """Return the probability of each client to take part in a round, (clients,).

    It is in proportion to sizes ** power, where the server knows how many sentences each client
    has. A client for which that would be more than 1 always takes part, and the others share the
    rest, so that the expected number of clients is `per_round`.

    Args:
        sizes: (clients,) sentences of each, 0 or more.
        power: 0 selects uniformly, 1 by activity.
        per_round: expected clients of a round; fewer where fewer have a sentence.
    """
    weights = np.ones(len(sizes)) if power == 0 else sizes.astype(float) ** power
    certain = np.zeros(len(sizes), dtype=bool)
    while True:
        open_ = ~certain & (weights > 0)
        rest = per_round - certain.sum()
        if open_.sum() <= rest:
            return (certain | open_).astype(float)
        shared = np.where(open_, rest * weights / weights[open_].sum(), certain.astype(float))
        above = open_ & (shared > 1)
        if not above.any():
            return shared
        certain |= above


def draw_poisson(probabilities: Floats, rng: np.random.Generator) -> Integers:
    """Draw each client independently: what the accounting of user-level privacy is of."""
    return np.flatnonzero(rng.random(len(probabilities)) < probabilities)


def draw_fixed(probabilities: Floats, rng: np.random.Generator) -> Integers:
    """Draw equally many clients in every round, each with exactly its probability.

    Systematic sampling of a random order (Madow 1949): draws one after the other without
    replacement would take heavy clients less often than that.
    """
    order = rng.permutation(len(probabilities))
    edges = np.cumsum(probabilities[order])
    places = rng.random() + np.arange(round(edges[-1]))
    chosen = np.searchsorted(edges, places, side="right")
    return np.sort(order[np.minimum(chosen, len(order) - 1)])
