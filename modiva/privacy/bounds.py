"""What a private training allows any attack to achieve: reconstruction, exposure and membership.

Let P be the distribution of the trained weights with the R sentences that hold a secret, and Q
without them. The trade-off T(a) = sup {P(E): Q(E) <= a} is the largest true positive rate of a test
between the two at false positive rate a (Dong et al. 2019, arXiv 1905.02383, whose trade-off
function is 1 - T). It holds for any attack and any other knowledge of the attacker.

- An attack names one of K secrets that were drawn uniformly. "It names s" are K disjoint events, so
  that their probabilities under Q sum to 1 at most, and T is concave: the secret is named with
  probability T(1/K) at most. Of j guesses one is right with probability T(j/K) at most; under
  another prior, one guess is with probability T(largest prior probability) at most.
- The rank of the secret is at most k with probability T(k/K) at most, and exposure is
  sum over k of log2((k + 1) / k) where the rank is at most k < K: E[exposure] is at most
  sum_{k<K} T(k/K) log2((k + 1) / k).
- The ROC of a membership test of the secret is at most T, and its area at most T's.

Formal guarantee: T(a) = min over epsilon of e^epsilon a + delta(epsilon), where delta is that of
removing the group. Every delta of the losses in `modiva.privacy.mixture` is an upper bound, hence
every figure here is one. Below a = 1e-12 the allowance for rounding makes it loose.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate

from modiva.privacy.accounting import LEAST_NOISE, Phases, group_sensitivities
from modiva.privacy.mixture import FEWEST, FINER, MOST, Array, Losses, Mixture, compose

# Refinement of the grid stops where T gains no more than this share of itself, at any probe.
SHARE = 1e-3
PROBES = np.array([0.5, 0.1, *(10.0**-power for power in range(2, 13, 2))])
# Probability that may be cut off at the end of a step and of their sum: below T of every probe.
TAIL, CUT = 1e-17, 1e-16
# Lines that are kept: of losses in this range, so far apart. T is too high by 1e-6 of itself at
# most, and exact for rates down to exp(-80).
LOWEST, HIGHEST, SPACING = -40.0, 80.0, 2e-3
# Ranks whose terms of the exposure are added one by one; the others are added in blocks.
SINGLE, BLOCK = 1 << 16, 2e-3


@dataclass(frozen=True, eq=False)
class TradeOff:
    """The largest true positive rate at each false positive rate: the least of straight lines.

    Args:
        slopes: (n,), increasing: e^epsilon.
        offsets: (n,), decreasing: delta of that epsilon.
    """

    slopes: Array
    offsets: Array

    @classmethod
    def of(cls, losses: Losses) -> "TradeOff":
        """Return the trade-off of losses under the first distribution of a pair."""
        first = max(math.ceil(LOWEST / losses.interval) - losses.first, 0)
        values, masses = losses.values[first:], losses.probabilities[first:]
        # Mass of losses above each one, and the same under the other distribution: (n,).
        ours = np.append(np.cumsum(masses[::-1])[::-1][1:], 0.0)
        theirs = np.append(np.cumsum((masses * np.exp(-values))[::-1])[::-1][1:], 0.0)
        last = int(np.searchsorted(values, HIGHEST, side="right"))
        kept = slice(0, last, max(int(SPACING / losses.interval), 1))
        slopes = np.exp(values[kept])
        offsets = losses.infinite + np.maximum(ours[kept] - slopes * theirs[kept], 0.0)
        useful = offsets < 1
        return cls(np.append(0.0, slopes[useful]), np.append(1.0, offsets[useful]))

    @property
    def corners(self) -> Array:
        """The rates (n - 1,) at which one line hands over to the next: decreasing."""
        found = np.clip(np.diff(-self.offsets) / np.diff(self.slopes), 0.0, 1.0)
        # Offsets near 1 differ by rounding alone: no corner is below one of a steeper line.
        return np.maximum.accumulate(found[::-1])[::-1]

    def __call__(self, rates: ArrayLike) -> Array:
        """Return T at false positive rates in [0, 1], of any shape."""
        wanted = np.asarray(rates, dtype=np.float64)
        corners = self.corners[::-1]
        line = len(corners) - np.searchsorted(corners, wanted, side="right")
        return np.minimum(self.slopes[line] * wanted + self.offsets[line], 1.0)

    def area(self) -> float:
        """Return the area below T: the largest AUC of a membership test."""
        rates = np.concatenate([[0.0], self.corners[::-1], [1.0]])
        return min(float(integrate.trapezoid(self(rates), rates)), 1.0)

    def exposure(self, space_size: int) -> float:
        """Return the largest mean exposure in bits of a secret from a space of that size."""
        size = float(space_size)  # which may be beyond 64 bits
        single = np.arange(1, min(space_size, SINGLE), dtype=np.float64)
        bits = float((self(single / size) * np.log1p(1 / single)).sum()) / math.log(2)
        if space_size > SINGLE:
            count = math.ceil(math.log(space_size / SINGLE) / BLOCK) + 1
            edges = np.unique(np.floor(np.geomspace(SINGLE, size, count)))
            widths = np.log(edges[1:] / edges[:-1])
            # T of the mean rank of a block is at least the mean of T, as T is concave.
            rates = np.minimum(np.diff(edges) / widths / size, 1.0)
            bits += float((self(rates) * widths).sum()) / math.log(2)
        return min(bits, math.log2(space_size))


# No group: a test does no better than chance. No noise: nothing is promised.
CHANCE = TradeOff(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
NO_BOUND = TradeOff(np.array([0.0]), np.array([1.0]))


@dataclass(frozen=True)
class Bounds:
    """The most that any attack reaches against a secret, whatever it knows beside the secret.

    Args:
        exact_bound: probability that its first guess is the secret.
        top10_bound: probability that the secret is among its first ten guesses.
        exposure_bound: mean exposure in bits.
        auc_bound: area under the ROC of "was this secret in the training data?".
    """

    exact_bound: float
    top10_bound: float
    exposure_bound: float
    auc_bound: float

    @classmethod
    def of(cls, trade_off: TradeOff, space_size: int) -> "Bounds":
        """Return the bounds for a secret drawn uniformly from a space of that size."""
        first, ten = trade_off(np.minimum(np.array([1.0, 10.0]) / float(space_size), 1.0))
        return cls(float(first), float(ten), trade_off.exposure(space_size), trade_off.area())


@lru_cache(maxsize=256)
def composed_trade_off(sampling_rate: float, phases: Phases, repetitions: int = 1) -> TradeOff:
    """Return T of steps with several noise multipliers, ((noise_multiplier, steps), ...).

    Args:
        sampling_rate: probability in (0, 1] with which each example is in a batch.
        phases: noise multipliers and the steps taken with them.
        repetitions: size of the group that is removed, 1 or more.
    """
    taken = [(noise, steps) for noise, steps in phases if steps]
    if any(noise < LEAST_NOISE for noise, _ in taken):
        return NO_BOUND
    group = group_sensitivities(sampling_rate, repetitions)
    mixtures = [Mixture.of(noise, *group, steps) for noise, steps in taken]
    tail = TAIL / sum(mixture.steps for mixture in mixtures)
    width = max(mixture.width(tail) for mixture in mixtures)
    interval, measured, gain = width / FEWEST, np.full(len(PROBES), math.inf), math.inf
    while True:
        last, before = measured, gain
        found = TradeOff.of(compose(mixtures, False, interval, tail, CUT))
        measured = found(PROBES)
        # See `mixture_epsilon`: what refinement may still gain follows from how the gains fall.
        gain = float(np.max(1 - measured / last, initial=0.0))
        rate = min(max(before / gain, 2.0), FINER**2) if 0 < gain < before < 1 else 2.0
        if gain / (rate - 1) <= SHARE:
            return found
        interval /= FINER
        if width / interval > MOST:
            return found


@lru_cache(maxsize=4096)
def composed_bounds(
    sampling_rate: float, phases: Phases, repetitions: int, space_size: int
) -> Bounds:
    """Return the bounds for a secret of a space of `space_size`, said `repetitions` times."""
    if repetitions == 0:
        return Bounds.of(CHANCE, space_size)
    return Bounds.of(composed_trade_off(sampling_rate, phases, repetitions), space_size)
