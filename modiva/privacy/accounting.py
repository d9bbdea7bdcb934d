"""Turns sampling rate, noise and steps into epsilon, by privacy loss distributions.

Formal guarantees: every figure is an upper bound (pessimistic discretisation) on the epsilon of the
Poisson-subsampled Gaussian mechanism under add-or-remove-one neighbours, at the delta given. The
figures hold only for training that really draws Poisson batches with this rate and adds this noise.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from dp_accounting import DpEvent, GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.dp_event import MixtureOfGaussiansDpEvent
from dp_accounting.pld import PLDAccountant
from scipy import stats

# At this discretisation interval epsilon differs from that of 1e-4 by less than 1e-3, in a tenth of
# the time. A large epsilon gets a coarser one: its share of epsilon is below for one example and
# for groups, which are slower; epsilon is then too high by less than a thousandth of itself.
INTERVAL = 1e-3
RELATIVE_INTERVAL, GROUP_RELATIVE_INTERVAL = 1e-4, 5e-4
# A first look at the size of epsilon, for groups of up to a hundred; beyond, in proportion.
COARSE_INTERVAL = 0.1
# Binomial tails of less than this are merged into one outcome (see `group_sensitivities`).
TAIL = 1e-30
# A group's bound beyond this says nothing and takes minutes: it is reported as infinite.
LARGEST_USEFUL = 1e6

logger = logging.getLogger(__name__)

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
    loss is tight (Choquette-Choo et al. 2024, "Privacy Amplification for Matrix Mechanisms").
    """
    if any(noise == 0 and steps > 0 for noise, steps in phases):
        return math.inf
    if repetitions > 1 and _rough_epsilon(sampling_rate, phases, repetitions) > LARGEST_USEFUL:
        return math.inf
    try:
        return _refined_epsilon(sampling_rate, phases, delta, repetitions)
    except ValueError as error:
        if repetitions == 1:
            raise
        # dp-accounting runs out of precision where nearly every step meets the group.
        logger.warning("no group epsilon found for %d repetitions: %s", repetitions, error)
        return math.inf


def _rough_epsilon(sampling_rate: float, phases: Phases, repetitions: int) -> float:
    """Epsilon to an order of magnitude: a Gaussian mechanism that moves by the mean movement."""
    movement = repetitions * sampling_rate
    return sum(steps * (movement / noise) ** 2 for noise, steps in phases if steps) / 2


def _refined_epsilon(sampling_rate: float, phases: Phases, delta: float, repetitions: int) -> float:
    """Epsilon on a grid as fine as its size deserves."""
    coarse = COARSE_INTERVAL * max(1.0, repetitions / 100)
    size = _epsilon(sampling_rate, phases, delta, repetitions, coarse)
    relative = RELATIVE_INTERVAL if repetitions == 1 else GROUP_RELATIVE_INTERVAL
    interval = max(INTERVAL, relative * size)
    if interval >= coarse:
        return size
    return _epsilon(sampling_rate, phases, delta, repetitions, interval)


def _epsilon(
    sampling_rate: float, phases: Phases, delta: float, repetitions: int, interval: float
) -> float:
    accountant = PLDAccountant(value_discretization_interval=interval)
    for noise, steps in phases:
        accountant.compose(_event(sampling_rate, noise, repetitions), steps)
    return float(accountant.get_epsilon(delta))


def _event(sampling_rate: float, noise: float, repetitions: int) -> DpEvent:
    if repetitions == 1:
        return PoissonSampledDpEvent(sampling_rate, GaussianDpEvent(noise))
    sensitivities, probabilities = group_sensitivities(sampling_rate, repetitions)
    return MixtureOfGaussiansDpEvent(noise, sensitivities, probabilities)


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
