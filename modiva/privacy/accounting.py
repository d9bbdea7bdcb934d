"""Turns sampling rate, noise and steps into epsilon, by privacy loss distributions.

Formal guarantees: every figure is an upper bound (pessimistic discretisation) on the epsilon of the
Poisson-subsampled Gaussian mechanism under add-or-remove-one neighbours, at the delta given. The
figures hold only for training that really draws Poisson batches with this rate and adds this noise.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from scipy import stats

from modiva.privacy.mixture import Mixture, mixture_epsilon

# Less noise than this has an epsilon of millions, if the sums do not overflow: no bound is given.
LEAST_NOISE = 1e-3
# Binomial tails of less than this are merged into one outcome (see `group_sensitivities`).
TAIL = 1e-30

Phases = tuple[tuple[float, int], ...]


def phases_of(noise_multipliers: Sequence[float]) -> Phases:
    """Count equal noise multipliers of the steps: ((noise_multiplier, steps), ...).

    The order of the steps does not matter to composition.
    """
    return tuple(sorted(Counter(noise_multipliers).items()))


def epsilon(
    sampling_rate: float, noise_multiplier: float, steps: int, delta: float, repetitions: int = 1
) -> float:
    """Return epsilon after `steps` subsampled Gaussian steps.

    Args:
        sampling_rate: probability in (0, 1] with which each example is in a batch.
        noise_multiplier: standard deviation of the noise divided by the clip norm.
        steps: number of steps.
        delta: probability in (0, 1) of the guarantee's failure.
        repetitions: size of the group that is added or removed; 1 is one example.
    """
    return composed_epsilon(sampling_rate, ((noise_multiplier, steps),), delta, repetitions)


@lru_cache(maxsize=4096)
def composed_epsilon(
    sampling_rate: float, phases: Phases, delta: float, repetitions: int = 1
) -> float:
    """Return epsilon of steps with several noise multipliers, ((noise_multiplier, steps), ...).

    A group of `repetitions` examples meets a step Binomial(repetitions, sampling_rate) times, and
    each time moves the clipped sum by at most the clip norm: a mixture of Gaussians, whose privacy
    loss is tight. The grid follows the size of epsilon and the number of steps, so that epsilon is
    too high by at most 0.05 %, or by 2.5e-4 where it is below 0.5 (see `modiva.privacy.mixture`).
    """
    taken = [(noise, steps) for noise, steps in phases if steps]
    if any(noise < LEAST_NOISE for noise, _ in taken):
        return math.inf
    group = group_sensitivities(sampling_rate, repetitions)
    return mixture_epsilon([Mixture.of(noise, *group, steps) for noise, steps in taken], delta)


def group_sensitivities(
    sampling_rate: float, repetitions: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return how far a group moves a step's sum (in clip norms), and with which probabilities.

    Binomial(repetitions, sampling_rate), with negligible tails moved upwards only: more movement
    never lowers epsilon, so the bound stays a bound.
    """
    counts = stats.binom(repetitions, sampling_rate)
    low = 0
    while low < repetitions and counts.cdf(low) < TAIL:
        low += 1
    high = repetitions
    while high > low and counts.sf(high - 1) < TAIL:
        high -= 1
    weights = {float(count): float(counts.pmf(count)) for count in range(low, high + 1)}
    weights[float(low)] += float(counts.cdf(low - 1))  # up from below
    if high < repetitions:
        weights[float(repetitions)] = float(counts.sf(high))  # up to the largest movement
    kept = {count: weight for count, weight in weights.items() if weight > 0}
    total = math.fsum(kept.values())
    return tuple(kept), tuple(weight / total for weight in kept.values())
