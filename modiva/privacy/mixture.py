"""Privacy loss of the mixture of Gaussians that a group meets, at any size of loss.

A group of R examples moves a step's sum by k clip norms with probability p_k (Binomial(R, q)), so
that its pair of distributions is sum_k p_k N(k, s^2) and N(0, s^2): Choquette-Choo et al. 2024,
"Privacy Amplification for Matrix Mechanisms" (arXiv 2310.15526), corollary 4.7. dp-accounting has
this mechanism too, but its floating-point range ends where losses reach some hundreds a step. Here
losses are formed in logarithms; composition is dp-accounting's.

Formal guarantee: each piece of probability is put on a loss that is at least its own, and tails
that are cut off count as infinite loss, so epsilon is an upper bound (up to the rounding of double
precision, some 1e-11 in delta).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dp_accounting.pld.pld_pmf import DensePLDPmf
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

# Standard deviations beyond which a normal tail (1e-33) counts as infinite loss.
REACH = 12.0
# Epsilon is too high by at most this share of itself, which rounding losses up costs.
SHARE = 2.5e-4
# Buckets of one step's losses: of the first look, and at most.
FEWEST, MOST = 2_000, 500_000


@dataclass(frozen=True)
class Mixture:
    """One step: a sum that moves by `shifts` noise deviations with probabilities exp(`logs`)."""

    shifts: Array
    logs: Array
    steps: int

    @classmethod
    def of(
        cls,
        noise: float,
        sensitivities: Sequence[float],
        probabilities: Sequence[float],
        steps: int,
    ) -> "Mixture":
        """Make a mixture from sensitivities in clip norms."""
        return cls(np.asarray(sensitivities) / noise, np.log(np.asarray(probabilities)), steps)

    def loss(self, places: Array) -> Array:
        """The logarithm of mixture density over N(0, 1) density at `places` (n,): increasing."""
        total = np.full_like(places, -np.inf)
        for shift, log in zip(self.shifts, self.logs, strict=True):
            total = np.logaddexp(total, log + shift * places - shift**2 / 2)
        return total

    @property
    def ends(self) -> tuple[float, float]:
        """Places beyond which neither distribution has mass worth counting."""
        likely = self.shifts[self.logs > math.log(1e-28)]
        return -REACH, float(likely.max()) + REACH

    def losses(self, added: bool, interval: float) -> DensePLDPmf:
        """The distribution of a step's loss, rounded up to multiples of `interval`.

        Args:
            added: whether the group is what is added (loss of N(0, 1) over the mixture, under
                N(0, 1)) or removed (mixture over N(0, 1), under the mixture).
        """
        low, high = (-REACH, REACH) if added else self.ends
        coarse = np.linspace(low, high, 4_001)
        rough = self.loss(coarse)
        wanted = np.arange(rough[0], rough[-1], interval)
        # Cells that are about one interval of loss wide; their exact losses are taken below.
        places = np.unique(np.concatenate([coarse, np.interp(wanted, rough, coarse)]))
        values = self.loss(places)
        cdf = np.zeros_like(places)
        survival = np.zeros_like(places)
        shifts, logs = (np.zeros(1), np.zeros(1)) if added else (self.shifts, self.logs)
        for shift, log in zip(shifts, logs, strict=True):
            cdf += math.exp(log) * ndtr(places - shift)
            survival += math.exp(log) * ndtr(shift - places)
        # Differences of whichever is the smaller, so that tails keep their digits.
        masses = np.where(cdf[1:] < 0.5, np.diff(cdf), -np.diff(survival))
        worst = -values[:-1] if added else values[1:]
        buckets = np.ceil(worst / interval - 1e-9).astype(np.int64)
        first = int(buckets.min())
        probabilities = np.bincount(buckets - first, weights=np.maximum(masses, 0))
        # What lies at an end where the loss is small is moved up into the nearest bucket.
        near, far = (survival[-1], cdf[0]) if added else (cdf[0], survival[-1])
        probabilities[0] += near
        return DensePLDPmf(interval, first, probabilities, float(far), True)

    def width(self) -> float:
        """The range of a step's losses."""
        ends = self.loss(np.array([*self.ends, -REACH, REACH]))
        return float(ends.max() - ends.min())


def mixture_epsilon(mixtures: Sequence[Mixture], delta: float) -> float:
    """Return epsilon of all the steps of all `mixtures` together, for groups added or removed."""
    steps = sum(mixture.steps for mixture in mixtures)
    width = max(mixture.width() for mixture in mixtures)
    interval = width / FEWEST
    for _ in range(4):
        found = max(_epsilon(mixtures, delta, added, interval) for added in (False, True))
        # Rounding up costs half an interval a step on average.
        finer = max(2 * SHARE * found / steps, width / MOST)
        if finer > interval / 2:
            break
        interval = finer
    return found


def _epsilon(mixtures: Sequence[Mixture], delta: float, added: bool, interval: float) -> float:
    composed: Any = None
    for mixture in mixtures:
        with np.errstate(over="ignore"):  # a moment that overflows gives no bound on the tails
            part = mixture.losses(added, interval).self_compose(mixture.steps)
        composed = part if composed is None else composed.compose(part, 1e-15)
    probabilities = np.maximum(composed._probs, 0)
    losses = (np.arange(len(probabilities)) + composed._lower_loss) * interval
    infinite = composed._infinity_mass

    def delta_of(epsilon: float) -> float:
        above = losses > epsilon
        return infinite + float((probabilities[above] * -np.expm1(epsilon - losses[above])).sum())

    if infinite >= delta:
        return math.inf
    low, high = 0.0, max(float(losses[-1]), 0.0)
    if delta_of(0.0) <= delta:
        return 0.0
    while high - low > interval * 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if delta_of(middle) <= delta else (middle, high)
    return high
