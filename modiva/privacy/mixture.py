"""Privacy loss of the mixture of Gaussians that one example, or a group of them, meets.

A group of R examples moves a step's sum by k clip norms with probability p_k (Binomial(R, q)), so
that its pair of distributions is sum_k p_k N(k, s^2) and N(0, s^2): Choquette-Choo et al. 2024,
"Privacy Amplification for Matrix Mechanisms" (arXiv 2310.15526), corollary 4.7. R = 1 is the
Poisson-subsampled Gaussian mechanism.

Losses are put on a grid by "connect the dots" (Doroshenko et al. 2022, arXiv 2207.04380): the
probability between two multiples of the interval is split between them so that its mass under both
distributions stays. dp-accounting does the same; its floating-point range ends where losses reach
some hundreds per step, and a grid of 10^6 losses takes it seconds. Here masses are formed in
logarithms, and the grid is refined until epsilon no longer moves.

Formal guarantee: the pair on the grid dominates the mechanism's, tails that are cut off count as
infinite loss, and so does an allowance for the rounding of double precision (1e-16 per step).
Epsilon is an upper bound.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize
from scipy.special import log_ndtr, logsumexp, ndtri

Array = NDArray[np.float64]

# Epsilon is too high by at most this share of itself, or of SMALL where it is less than that.
SHARE, SMALL = 5e-4, 0.5
# Losses of one step on the grid: of the first look, and at most; and how much finer each look is.
FEWEST, MOST, FINER = 500, 8_000_000, 4
# The share of delta that cut tails may take: of the steps' distributions, and of their sum.
CUT = 1e-6
# Probability that rounding may move in a step; 1e-17 was measured over 10^4 to 10^6 steps.
ROUNDING = 1e-16
# Ends of cells that rounding moved off the grid by so little (in intervals) count as on it.
ALIGNED = 1e-6


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
        """Return log(mixture density / N(0, 1) density) at `places` (n,): increasing."""
        total = np.full_like(places, -np.inf)
        for shift, log in zip(self.shifts, self.logs, strict=True):
            total = np.logaddexp(total, log + shift * places - shift**2 / 2)
        return total

    def slope(self, places: Array, losses: Array) -> Array:
        """Return the derivative of `loss`, which is `losses` at `places`."""
        total = np.zeros_like(places)
        for shift, log in zip(self.shifts, self.logs, strict=True):
            total += shift * np.exp(log + shift * places - shift**2 / 2 - losses)
        return total

    def ends(self, added: bool, tail: float) -> tuple[float, float]:
        """Return places beyond which the first distribution of the pair has less than `tail`."""
        reach = -float(ndtri(tail))
        if added:
            return -reach, reach
        likely = self.shifts[self.logs > math.log(tail / len(self.logs))]
        return float(likely.min()) - reach, float(likely.max()) + reach

    def width(self, tail: float) -> float:
        """Return the range of a step's losses, whichever way."""
        places = np.array([end for added in (False, True) for end in self.ends(added, tail)])
        return float(np.ptp(self.loss(places)))


@dataclass(frozen=True)
class Losses:
    """Probabilities (n,) of the losses (first + 0, 1, ...) * interval, and of an infinite one."""

    first: int
    probabilities: Array
    interval: float
    infinite: float

    @classmethod
    def of(cls, mixture: Mixture, added: bool, interval: float, tail: float) -> "Losses":
        """Put a step's loss on the multiples of `interval`, by connecting the dots.

        Args:
            mixture: the step.
            added: whether the group is what is added (loss of N(0, 1) over the mixture, under
                N(0, 1)) or removed (mixture over N(0, 1), under the mixture).
            interval: spacing of the grid.
            tail: probability that may be cut off at either end.
        """
        places = _cells(mixture, mixture.ends(added, tail), interval)
        values = mixture.loss(places)
        normal = _log_masses(places)
        mixed = np.full_like(normal, -np.inf)
        for shift, log in zip(mixture.shifts, mixture.logs, strict=True):
            mixed = np.logaddexp(mixed, log + _log_masses(places - shift))
        if added:
            ours, theirs, low, high = normal, mixed, -values[1:], -values[:-1]
        else:
            ours, theirs, low, high = mixed, normal, values[:-1], values[1:]
        below = np.floor(low / interval + ALIGNED).astype(np.int64)
        above = np.maximum(np.ceil(high / interval - ALIGNED).astype(np.int64), below + 1)
        # Both masses stay: a + b = P and a e^-below + b e^-above = Q.
        kept = -np.expm1(theirs - ours + below * interval) / -np.expm1((below - above) * interval)
        masses = np.exp(ours)
        upper = masses * np.clip(kept, 0, 1)
        first = int(below.min())
        count = int(above.max()) - first + 1
        probabilities = np.zeros(count)
        probabilities += np.bincount(below - first, weights=masses - upper, minlength=count)
        probabilities += np.bincount(above - first, weights=upper, minlength=count)
        # What lies beyond either end is less than a tail; at the harmless end too it is infinite.
        return cls(first, probabilities, interval, 2 * tail)

    @property
    def values(self) -> Array:
        """The losses (n,) themselves."""
        places = np.arange(len(self.probabilities), dtype=np.float64)
        return (self.first + places) * self.interval

    def log_moment(self, order: float) -> float:
        """Return log E exp(order * loss / interval) of the finite losses."""
        places = self.first + np.arange(len(self.probabilities))
        return float(logsumexp(order * places, b=self.probabilities))


def mixture_epsilon(mixtures: Sequence[Mixture], delta: float) -> float:
    """Return epsilon of all the steps of all `mixtures` together, for groups added or removed.

    The grid is refined until SHARE covers what refinement may still gain. That is judged by how
    fast the gains fall: with the root of the interval where the grid is far too coarse, then with
    the interval, then with its square. Where the finest grid does not settle, epsilon is too high.
    """
    steps = sum(mixture.steps for mixture in mixtures)
    tail = CUT * delta / steps
    width = max(mixture.width(tail) for mixture in mixtures)
    interval, found, gain = width / FEWEST, math.inf, math.inf
    while True:
        last, before = found, gain
        found = max(_epsilon(mixtures, delta, added, interval, tail) for added in (False, True))
        if last < math.inf:
            gain = max(last - found, 0.0)
            rate = min(max(before / gain, 2.0), FINER**2) if 0 < gain < before < math.inf else 2.0
            if gain / (rate - 1) <= SHARE * max(found, SMALL):
                return min(found, last)
        interval /= FINER
        if width / interval > MOST:
            return min(found, last)


def compose(
    mixtures: Sequence[Mixture], added: bool, interval: float, tail: float, cut: float
) -> Losses:
    """Return the loss of all the steps of all `mixtures` together, on multiples of `interval`.

    Args:
        mixtures: the steps.
        added: whether the group is what is added or removed (see `Losses.of`).
        interval: spacing of the grid.
        tail: probability that may be cut off at either end of one step.
        cut: probability that may be cut off at either end of the sum.
    """
    parts = [Losses.of(mixture, added, interval, tail) for mixture in mixtures]
    return _sum_of(parts, [mixture.steps for mixture in mixtures], cut)


def _epsilon(
    mixtures: Sequence[Mixture], delta: float, added: bool, interval: float, tail: float
) -> float:
    composed = compose(mixtures, added, interval, tail, CUT * delta)
    probabilities, infinite = composed.probabilities, composed.infinite
    losses = composed.values
    start = int(np.searchsorted(losses, 0.0, side="right"))

    def above(place: int) -> tuple[float, float]:
        """Return the mass above the loss at `place`, and its mass under the other distribution."""
        rest = losses[place + 1 :] - losses[place]
        ours = probabilities[place + 1 :]
        return float(ours.sum()), float((ours * np.exp(-rest)).sum())

    def holds(place: int) -> bool:
        ours, theirs = above(place)
        return infinite + ours - theirs <= delta

    if infinite >= delta:
        return math.inf
    if len(losses) <= start:
        return 0.0
    low, high = max(start - 1, 0), len(losses) - 1
    # Delta falls with epsilon: find the first loss at which it holds.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    # Between two losses it is infinite + ours - exp(epsilon - losses[low]) * theirs.
    ours, theirs = above(low)
    if infinite + ours <= delta or theirs <= 0:
        return max(float(losses[low]), 0.0)
    exact = float(losses[low]) + math.log((infinite + ours - delta) / theirs)
    return min(max(exact, 0.0), max(float(losses[high]), 0.0))


def _sum_of(parts: Sequence[Losses], steps: Sequence[int], cut: float) -> Losses:
    """Return the sum of `steps` draws of each part, by one Fourier transform."""
    total = sum(steps)

    def bound(sign: int, logarithm: float) -> float:
        """Return Chernoff's bound: the sum is beyond it with probability below `cut`."""
        order = sign * math.exp(logarithm)
        moment = sum(n * part.log_moment(order) for n, part in zip(steps, parts, strict=True))
        return (moment - math.log(cut)) / order

    length = max(len(part.probabilities) for part in parts)
    ends = []
    for sign in (-1, 1):
        best = optimize.minimize_scalar(
            lambda logarithm, sign=sign: sign * bound(sign, logarithm),
            bounds=(-math.log(length * math.sqrt(total)) - 3, 3.0),
            method="bounded",
            options={"maxiter": 16, "xatol": 0.1},
        )
        ends.append(sign * float(best.fun))
    lowest = sum(n * part.first for n, part in zip(steps, parts, strict=True))
    highest = lowest + sum(
        n * (len(part.probabilities) - 1) for n, part in zip(steps, parts, strict=True)
    )
    low, high = max(math.floor(ends[0]), lowest), min(math.ceil(ends[1]), highest)
    size = fft.next_fast_len(high - low + 1, real=True)
    spectrum = np.ones(size // 2 + 1, dtype=np.complex128)
    for n, part in zip(steps, parts, strict=True):
        # Losses wrap around: what the sum has beyond [low, high] is less than twice `cut`.
        places = (part.first + np.arange(len(part.probabilities))) % size
        spectrum *= fft.rfft(np.bincount(places, part.probabilities, size)) ** n
    probabilities = np.roll(fft.irfft(spectrum, size), -(low % size))[: high - low + 1]
    infinite = -math.expm1(
        sum(n * math.log1p(-part.infinite) for n, part in zip(steps, parts, strict=True))
    )
    infinite += 2 * cut + ROUNDING * total
    return Losses(low, np.maximum(probabilities, 0), parts[0].interval, infinite)


def _cells(mixture: Mixture, ends: tuple[float, float], interval: float) -> Array:
    """Return places, increasing, at which the loss passes the multiples of `interval`."""
    coarse = np.linspace(*ends, 4_001)
    rough = mixture.loss(coarse)
    wanted = interval * np.arange(math.ceil(rough[0] / interval), rough[-1] // interval + 1)
    places = np.interp(wanted, rough, coarse)
    cell = np.clip(np.searchsorted(rough, wanted), 1, len(coarse) - 1)
    for _ in range(2):  # Newton's steps; a cell that they leave off the grid is spread further
        losses = mixture.loss(places)
        with np.errstate(divide="ignore", invalid="ignore"):
            better = places - (losses - wanted) / mixture.slope(places, losses)
        better = np.where(np.isfinite(better), better, places)
        places = np.clip(better, coarse[cell - 1], coarse[cell])
    return np.unique(np.concatenate([ends, places]))


def _log_masses(places: Array) -> Array:
    """Return the logarithms (n - 1,) of what N(0, 1) has between `places` (n,), increasing."""
    # From the tail on whose side a cell lies, so that small masses keep their digits.
    left, right = log_ndtr(places), log_ndtr(-places)
    large = np.where(places[1:] <= 0, left[1:], right[:-1])
    small = np.where(places[1:] <= 0, left[:-1], right[1:])
    with np.errstate(divide="ignore"):
        masses: Array = large + np.log(-np.expm1(np.minimum(small - large, 0)))
    return masses
