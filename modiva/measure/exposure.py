"""Where a secret ranks among all that it could have been, and that rank in bits.

Polarity: LOWER scores are better everywhere. A score that is not a number counts as the worst.

Ties: a rank is the last place of its tie, and exposure is the mean over all places of the tie, as
if it were broken at random. So a secret that the model never saw has 1.44 bits on average under
every score, also one that leaves most of the space tied (a ranker that did not look at it).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, special, stats

from modiva.errors import ModivaError

MIN_FIT_REFERENCES = 30  # three parameters are fitted; with fewer points the tail is a guess


def rank_in_space(scores: ArrayLike, index: int) -> int:
    """Return the rank (1 = best) of candidate `index` among all the scores of a space, (N,)."""
    return _tie(_numbers(scores), index)[1]


def rank_in_sample(score: float, references: ArrayLike) -> int:
    """Return the rank (1 = best) of `score` among reference scores (n,) that do not hold it."""
    return _tie(np.append(_numbers(references), _numbers(score)), -1)[1]


def exposure(rank: int, size: int) -> float:
    """Return log2 |space| - log2 rank in bits (Carlini et al. 2019, definition 4).

    Args:
        rank: 1 (best) to `size`.
        size: number of secrets in the space, an exact integer of any magnitude.

    A secret that the model has never seen has a uniform rank: log2 e = 1.44 bits on average.
    """
    if not 1 <= rank <= size:
        raise ValueError(f"rank {rank} is outside 1..{size}")
    return math.log2(size) - math.log2(rank)


def exposure_in_space(scores: ArrayLike, index: int) -> float:
    """Return the exposure in bits of candidate `index` among all the scores of a space, (N,)."""
    values = _numbers(scores)
    return math.log2(len(values)) - _mean_log2(*_tie(values, index))


def exposure_from_sample(score: float, references: ArrayLike) -> float:
    """Return the exposure in bits estimated from scores (n,) of secrets drawn from the space.

    The rank is taken among the n references and the secret itself, and the result is capped at
    log2 n: a sample cannot show more (Carlini et al. 2019, section 5.3, by sampling).

    Raises:
        ModivaError: no references.
    """
    values = np.append(_numbers(references), _numbers(score))
    count = len(values) - 1
    if not count:
        raise ModivaError("exposure needs reference scores, got none: sample at least one secret")
    return min(math.log2(count), math.log2(count + 1) - _mean_log2(*_tie(values, -1)))


def exposure_by_skew_normal(score: float, references: ArrayLike) -> float:
    """Return the exposure in bits extrapolated beyond a sample: -log2 CDF of a fitted skew-normal.

    It rests on the shape of a tail that the sample does not show: report it as an extrapolation
    (Carlini et al. 2019, section 5.3, by distribution modelling).

    Args:
        score: the secret's score.
        references: (n,) scores of secrets drawn from the same space, n >= 30.

    Raises:
        ModivaError: too few references, or references that do not vary.
    """
    values = _numbers(references)
    values = values[np.isfinite(values)]
    if len(values) < MIN_FIT_REFERENCES or np.ptp(values) == 0:
        raise ModivaError(
            f"a skew-normal needs at least {MIN_FIT_REFERENCES} finite reference scores that vary, "
            f"got {len(values)}, {len(np.unique(values))} of them distinct: sample more, or use "
            "exposure_from_sample"
        )
    shape, location, scale = stats.skewnorm.fit(values)
    own = (float(_numbers(score)) - location) / scale
    return -_log_cdf(own, shape) / math.log(2) + 0.0  # + 0.0: never "-0.0"


def _log_cdf(z: float, shape: float) -> float:
    """Return the natural log of the standard skew-normal CDF, far into the left tail too."""
    if (direct := float(stats.skewnorm.cdf(z, shape))) > 1e-4:
        return math.log(min(direct, 1.0))

    def log_density(t: float) -> float:
        return math.log(2) + float(stats.norm.logpdf(t)) + float(stats.norm.logcdf(shape * t))

    # Divided by the density at z, the integrand starts at 1 and falls: no underflow.
    peak = log_density(z)
    area, _ = integrate.quad(lambda t: math.exp(log_density(z - t) - peak), 0, np.inf)
    return peak + math.log(area)


def _tie(values: NDArray[Any], index: int) -> tuple[int, int]:
    """Return the first and the last place of what scores as candidate `index` does."""
    own = values[index]
    return 1 + int(np.count_nonzero(values < own)), int(np.count_nonzero(values <= own))


def _mean_log2(first: int, last: int) -> float:
    """Return the mean of log2 over the places `first` to `last`."""
    if first == last:
        return math.log2(first)
    total = special.gammaln(last + 1) - special.gammaln(first)
    return float(total) / (last - first + 1) / math.log(2)


def _numbers(scores: ArrayLike | Sequence[float]) -> NDArray[Any]:
    """Return scores as floats in which "not a number" is the worst score there is."""
    values = np.asarray(scores, dtype=np.float64)
    return np.where(np.isnan(values), np.inf, values)
