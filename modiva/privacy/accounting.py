"""Turns sampling rate, noise and steps into epsilon, by privacy loss distributions.

Formal guarantees: every figure is an upper bound (pessimistic discretisation) on the epsilon of the
Poisson-subsampled Gaussian mechanism under add-or-remove-one neighbours, at the delta given. The
figures hold only for training that really draws Poisson batches with this rate and adds this noise.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from scipy import stats

from modiva.privacy.mixture import Mixture, mixture_epsilon

# At this discretisation interval epsilon differs from that of 1e-4 by less than 1e-3, in a tenth of
# the time. A large epsilon gets a coarser one, this share of it; it is then too high by less than
# a thousandth of itself.
INTERVAL, RELATIVE_INTERVAL = 1e-3, 1e-4
COARSE_INTERVAL = 0.1  # of a first look at the size of epsilon
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
    loss is tight (see `modiva.privacy.mixture`).
    """
    taken = [(noise, steps) for noise, steps in phases if steps]
    if any(noise < LEAST_NOISE for noise, _ in taken):
        return math.inf
    if repetitions == 1:
        return _one_example(sampling_rate, taken, delta)
    group = group_sensitivities(sampling_rate, repetitions)
    return mixture_epsilon([Mixture.of(noise, *group, steps) for noise, steps in taken], delta)


def _one_example(sampling_rate: float, phases: Sequence[tuple[float, int]], delta: float) -> float:
    """Epsilon on a grid as fine as its size deserves."""
    # With little noise a single step loses about 1 / (2 noise^2).
    coarse = max([COARSE_INTERVAL, *(RELATIVE_INTERVAL / (2 * noise**2) for noise, _ in phases)])
    size = _accounted(sampling_rate, phases, delta, coarse)
    interval = max(INTERVAL, RELATIVE_INTERVAL * size)
    if interval >= coarse:
        return size
    return _accounted(sampling_rate, phases, delta, interval)


def _accounted(
    sampling_rate: float, phases: Sequence[tuple[float, int]], delta: float, interval: float
) -> float:
    accountant = PLDAccountant(value_discretization_interval=interval)
    for noise, steps in phases:
        accountant.compose(PoissonSampledDpEvent(sampling_rate, GaussianDpEvent(noise)), steps)
    return float(accountant.get_epsilon(delta))


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
