"""Audits: lower bounds on the privacy loss of a training, from what attacks really reached.

Every bound holds with probability 1 - alpha, whatever the training does: a lower bound above the
claimed upper one shows that the claim is false. Thresholds and numbers of guesses are fixed before
the outcomes are seen; where several are tried, alpha is divided among them.

- Ranks: a secret that was drawn uniformly and is not in the training data has rank k or better of K
  with probability k / K, exactly. So the ranks of planted secrets alone audit their training, with
  all R repetitions together (`group_epsilon`).
- Many runs, with and without: Jagielski et al. 2020, arXiv 2006.07709.
- One run with m records, each in it by the toss of a coin: Steinke, Nasr and Jagielski 2023, arXiv
  2305.08846, theorem 5.2; against a trade-off function Mahloujifar et al. 2024, arXiv 2410.22235,
  algorithm 3.

A bound as mu is of Gaussian differential privacy (Dong et al. 2019): the training tells the two
sides apart no better than N(0, 1) and N(mu, 1) are. DP-SGD is close to that and not exactly it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

ALPHA = 0.05
# Ranks that count as a hit, fixed beforehand for all studies.
HITS = (1, 10, 100, 1000)
# Largest epsilon and mu that is looked for in a single run.
LARGEST_EPSILON, LARGEST_MU = 100.0, 40.0


@dataclass(frozen=True)
class Lower:
    """Lower bounds on the privacy loss; 0 shows nothing.

    Args:
        epsilon: at the delta of the claim.
        mu: of Gaussian differential privacy.
        k: largest rank that counted as a hit where epsilon is best; None for other audits.
    """

    epsilon: float
    mu: float
    k: int | None = None


def rank_audit(
    ranks: ArrayLike,
    space_size: int,
    delta: float,
    *,
    hits: Sequence[int] = HITS,
    alpha: float = ALPHA,
) -> Lower:
    """Return what the ranks of planted secrets show, one secret of each independent model.

    Args:
        ranks: (n,), 1 is best; a tie counts as its last place.
        space_size: number of secrets K that could have been drawn; of a sampled space, the number
            of references and one.
        delta: of the claim that is audited.
        hits: ranks k that count as hits, each an audit of its own; those below K are used.
        alpha: probability that the bound is wrong.
    """
    places = np.asarray(ranks)
    tried = [k for k in hits if k < space_size]
    found = Lower(0.0, 0.0, None)
    for k in tried:
        rate = rate_above(int((places <= k).sum()), len(places), alpha / len(tried))
        epsilon = _log_ratio(rate - delta, k / space_size)
        mu = max(_normal(rate) - _normal(k / space_size), found.mu)
        better = epsilon > found.epsilon
        found = Lower(max(epsilon, found.epsilon), mu, k if better else found.k)
    return found


def violation(ranks: ArrayLike, bounds: Mapping[int, float]) -> float:
    """Return the p-value of the claim that no attack ranks a secret better than the bounds.

    Args:
        ranks: (n,), one secret of each independent model.
        bounds: for each k that is tried, the probability of a rank of k or better, at most.
    """
    places = np.asarray(ranks)
    least = min(
        float(special.bdtrc((places <= k).sum() - 1, len(places), min(bound, 1.0)))
        if (places <= k).any()
        else 1.0
        for k, bound in bounds.items()
    )
    return min(len(bounds) * least, 1.0)


def many_run_audit(
    found: int,
    members: int,
    alarms: int,
    nonmembers: int,
    delta: float,
    *,
    both: bool = False,
    alpha: float = ALPHA,
) -> Lower:
    """Return what a fixed test shows over models trained with and without a record.

    Args:
        found: models with the record in which the test finds it.
        members: models with the record.
        alarms: models without it in which the test finds it.
        nonmembers: models without it.
        delta: of the claim that is audited.
        both: audit the mistakes too, with half of alpha for each: whether the record is absent.
        alpha: probability that the bound is wrong.
    """
    part = alpha / (4 if both else 2)
    sides = [(found, members, alarms, nonmembers)]
    if both:
        sides.append((nonmembers - alarms, nonmembers, members - found, members))
    epsilon = mu = 0.0
    for right, n, wrong, m in sides:
        true, false = rate_above(right, n, part), 1 - rate_above(m - wrong, m, part)
        epsilon = max(epsilon, _log_ratio(true - delta, false))
        mu = max(mu, _normal(true) - _normal(false))
    return Lower(epsilon, mu)


def one_run_audit(
    records: int, guesses: int, right: int, delta: float, *, alpha: float = ALPHA
) -> Lower:
    """Return what guesses of which records are in a single run show.

    Each of the records was in the training data by the toss of a coin of its own. The number of
    guesses is fixed beforehand; of the other records nothing is said.

    Args:
        records: m, tossed for.
        guesses: r of them, "in" or "out".
        right: v guesses that were right.
        delta: of the claim that is audited.
        alpha: probability that the bound is wrong.
    """
    epsilon = _largest(
        lambda value: one_run_p_value(records, guesses, right, value, delta) < alpha,
        LARGEST_EPSILON,
    )
    mu = _largest(
        lambda value: one_run_rejects_mu(records, guesses, right, value, alpha), LARGEST_MU
    )
    return Lower(epsilon, mu)


def one_run_p_value(records: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return the p-value of (epsilon, delta) given one run (Steinke et al. 2023, theorem 5.2)."""
    if right == 0:
        return 1.0
    of_guess = stats.binom(guesses, special.expit(epsilon))
    beta = float(of_guess.sf(right - 1))
    steps = np.arange(1, right + 1)
    more = (of_guess.sf(right - steps - 1) - beta) / steps
    return min(beta + 2 * records * delta * float(more.max()), 1.0)


def one_run_rejects_mu(
    records: int, guesses: int, right: int, mu: float, alpha: float = ALPHA
) -> bool:
    """Return whether one run rejects mu-GDP (Mahloujifar et al. 2024, algorithm 3)."""
    rejected, held = alpha * right / records, alpha * (guesses - right) / records
    for i in range(right - 1, -1, -1):
        least = max(held, float(special.ndtr(special.ndtri(min(rejected, 1.0)) - mu)))
        rejected += i / (guesses - i) * (least - held)
        held = least
        if rejected + held > guesses / records:
            return True
    return False


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return epsilon of mu-GDP (Dong et al. 2019, corollary 2.13)."""
    if mu <= 0:
        return 0.0

    def excess(epsilon: float) -> float:
        log_other = epsilon + float(special.log_ndtr(-epsilon / mu - mu / 2))
        return float(special.ndtr(-epsilon / mu + mu / 2)) - math.exp(log_other) - delta

    if excess(0.0) <= 0:
        return 0.0
    most = mu * (mu / 2 - float(special.ndtri(delta))) + 1
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-9))


def rate_above(successes: int, n: int, alpha: float) -> float:
    """Return the end of the one-sided exact interval of a rate (Clopper and Pearson 1934)."""
    if successes == 0:
        return 0.0
    return float(special.betaincinv(successes, n - successes + 1, alpha))


def one_of_each(clusters: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
    """Return the places of one item of each cluster, drawn at random: independent units."""
    members = np.asarray(clusters)
    drawn = np.random.default_rng(seed).permutation(len(members))
    _, first = np.unique(members[drawn], return_index=True)
    return np.sort(drawn[first]).astype(np.int64)


def _log_ratio(rate: float, other: float) -> float:
    """Return log(rate / other), and 0 where it is no evidence."""
    return max(math.log(rate / other), 0.0) if rate > 0 and other > 0 else 0.0


def _normal(rate: float) -> float:
    """Return the quantile of N(0, 1), minus infinity for 0."""
    return float(special.ndtri(rate))


def _largest(rejected: Callable[[float], bool], most: float) -> float:
    """Return the largest value in [0, most] that is rejected, to 1e-6; 0 where none is."""
    if not rejected(0.0):
        return 0.0
    low, high = 0.0, most
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low
