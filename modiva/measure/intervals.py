"""Intervals of a few trained models for all models trained in that way.

Models are the unit of sampling: several canaries in one model share its fate, so they are resampled
together. All functions give two-sided intervals.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 2000
MIN_INFORMATIVE = 5  # models that must show either outcome before resampling them is informative


@dataclass(frozen=True)
class Interval:
    """A mean with its bounds.

    Args:
        mean: of the values.
        lower, upper: bounds of the interval; not a number where there is one model.
        n: number of values.
        n_models: number of models that they are of.
        successes: how many values are 1, where every value is 0 or 1.
    """

    mean: float
    lower: float
    upper: float
    n: int
    n_models: int
    successes: int | None = None

    @property
    def known(self) -> bool:
        """Whether there are bounds."""
        return not math.isnan(self.lower)


def wilson(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a rate (Wilson 1927).

    Args:
        successes: 0 to `n`; a fraction when `n` is an effective sample size.
        n: number of independent trials, > 0.
        confidence: coverage, between 0 and 1.
    """
    _check(successes, n, confidence)
    z2 = float(special.ndtri(0.5 + confidence / 2)) ** 2
    rate = successes / n
    centre = rate + z2 / (2 * n)
    half = math.sqrt(z2 * (rate * (1 - rate) + z2 / (4 * n)) / n)
    lower, upper = (centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)
    # At the ends the bound is the rate itself, which rounding would miss by one part in 10^16.
    return (0.0 if successes == 0 else lower), (1.0 if successes == n else upper)


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a rate (Clopper and Pearson 1934): never covers too little."""
    _check(successes, n, confidence)
    tail = (1 - confidence) / 2
    lower = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, n - successes + 1))
    upper = 1.0 if successes == n else float(stats.beta.isf(tail, successes + 1, n - successes))
    return lower, upper


def cluster_bootstrap(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the expanded percentile bootstrap interval of a mean, resampling whole clusters.

    With k clusters the percentiles are those of t(k - 1) times sqrt(k / (k - 1)): the plain ones
    are too narrow for few clusters (Hesterberg 2015, section 3.4).

    Args:
        values: (n,) numbers.
        clusters: (n,) which model each value is of; at least two different ones.
        confidence: coverage, between 0 and 1.
        resamples: number of bootstrap samples.
        seed: makes the interval a function of its input.
    """
    sums, sizes = _cluster_sums(values, clusters)  # (k,), (k,)
    k = len(sums)
    if k < 2:
        raise ValueError("a bootstrap over models needs at least two models")
    tail = expanded_tail(k, confidence)
    draws = _draws(k, resamples, seed)  # (R, k)
    means = (draws @ sums) / (draws @ sizes)  # (R,)
    lower, upper = np.quantile(means, [tail, 1 - tail])
    return float(lower), float(upper)


def expanded_tail(k: int, confidence: float = 0.95) -> float:
    """Return the percentile at which an interval over k clusters, two or more, ends."""
    stretch = math.sqrt(k / (k - 1)) * float(special.stdtrit(k - 1, (1 - confidence) / 2))
    return float(special.ndtr(stretch))


def bounded_interval(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    low: float = 0.0,
    high: float = 1.0,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of values in [low, high], with an interval over models that is never a point.

    - One 0/1 value a model: Wilson, exact in that case.
    - Otherwise the cluster bootstrap, if at least five models hold a value above `low` and at least
      five hold one below `high`: with fewer, resampling cannot see the rarer outcome.
    - Else Wilson with every model counted once, whatever the number of its values. No variable in
      [0, 1] with that mean varies more than a yes/no one, so this errs on the wide side.

    Args:
        values: (n,) numbers in [low, high].
        clusters: (n,) which model each value is of.
        low: least possible value.
        high: greatest possible value.
        confidence: coverage, between 0 and 1.
        seed: of the bootstrap.
    """
    unit = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    sums, sizes = _cluster_sums(unit, clusters)
    k, n, mean = len(sums), len(unit), float(np.clip(unit.mean(), 0, 1))
    informative = min(np.count_nonzero(sums > 0), np.count_nonzero(sums < sizes))
    binary = bool(np.isin(unit, (0.0, 1.0)).all())
    if (k == n and binary) or informative < MIN_INFORMATIVE:
        found = float(round(mean * k)) if k == n and binary else mean * k
        lower, upper = wilson(found, k, confidence)
    else:
        lower, upper = cluster_bootstrap(unit, clusters, confidence=confidence, seed=seed)
    span = high - low
    ends = low + span * lower, low + span * upper
    successes = int(np.count_nonzero(unit)) if binary and (low, high) == (0, 1) else None
    return Interval(low + span * mean, *ends, n, k, successes)


def student_interval(
    values: ArrayLike, clusters: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Return the mean over models of a measured number, say test accuracy, by Student's t.

    Every model counts once. With one model the bounds are not a number.
    """
    sums, sizes = _cluster_sums(values, clusters)
    means = sums / sizes
    k, mean = len(means), float(means.mean())
    if k < 2:
        return Interval(mean, math.nan, math.nan, int(sizes.sum()), k)
    half = float(special.stdtrit(k - 1, 0.5 + confidence / 2) * means.std(ddof=1) / math.sqrt(k))
    return Interval(mean, mean - half, mean + half, int(sizes.sum()), k)


@lru_cache(maxsize=4)  # the measures of one group share their resamples
def _draws(k: int, resamples: int, seed: int) -> NDArray[Any]:
    """Return (resamples, k): how often each of k clusters is drawn."""
    draws = np.random.default_rng(seed).multinomial(k, np.full(k, 1 / k), size=resamples)
    return draws.astype(np.float64)  # so that the sums below are one matrix product


def _cluster_sums(values: ArrayLike, clusters: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return per cluster the sum of its values and how many they are."""
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(member, np.asarray(values, dtype=np.float64)), np.bincount(member)


def _check(successes: float, n: float, confidence: float) -> None:
    if not (n > 0 and 0 <= successes <= n and 0 < confidence < 1):
        raise ValueError(
            f"{successes} successes of {n} at confidence {confidence}: "
            "needs 0 <= successes <= n, n > 0 and confidence between 0 and 1"
        )


def models(frame: "pd.DataFrame") -> NDArray[Any]:
    """Return (n,) integers that tell which trained model each row is of."""
    columns = [name for name in ("cell", "model_seed") if name in frame]
    return frame.groupby(columns, dropna=False, sort=False).ngroup().to_numpy()
