"""Intervals cover what they claim to cover, and are never a point."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modiva.measure.intervals import (
    bounded_interval,
    clopper_pearson,
    cluster_bootstrap,
    student_interval,
    wilson,
)


def binomial_coverage(interval, n: int, rate: float) -> float:
    """Exact coverage: the probability of the counts whose interval holds the rate."""
    counts = np.arange(n + 1)
    bounds = [interval(int(count), n) for count in counts]
    holds = np.array([lower <= rate <= upper for lower, upper in bounds])
    return float(stats.binom.pmf(counts, n, rate)[holds].sum())


@pytest.mark.parametrize("n", [10, 30, 100])
def test_wilson_covers_at_its_nominal_rate_on_average(n):
    coverage = [binomial_coverage(wilson, n, rate) for rate in np.linspace(0.005, 0.995, 199)]
    assert np.mean(coverage) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("n", [5, 30])
def test_clopper_pearson_never_covers_less_than_it_claims(n):
    rates = np.linspace(0.001, 0.999, 199)
    assert min(binomial_coverage(clopper_pearson, n, rate) for rate in rates) >= 0.95


def test_known_values():
    assert wilson(0, 20) == pytest.approx((0, 0.16113), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-4)
    assert clopper_pearson(0, 20) == pytest.approx((0, 0.16843), abs=1e-4)  # 1 - 0.025^(1/20)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy_and_clopper_pearson_equals_scipy(case):
    successes, n = case
    test = stats.binomtest(successes, n)
    ours, theirs = wilson(successes, n), test.proportion_ci(method="wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    ours, theirs = clopper_pearson(successes, n), test.proportion_ci(method="exact")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def simulated_coverage(models: int, each: int, rate: float, alike: float, trials: int) -> float:
    """Coverage of a rate when the canaries of one model succeed together (beta-binomial)."""
    rng = np.random.default_rng(models * 100 + each)
    total = (1 - alike) / alike
    clusters = np.repeat(np.arange(models), each)
    covered = 0
    for _ in range(trials):
        chances = rng.beta(rate * total, (1 - rate) * total, size=models)
        values = rng.random((models, each)) < chances[:, None]
        interval = bounded_interval(values.ravel(), clusters)
        covered += interval.lower <= rate <= interval.upper
    return covered / trials


@pytest.mark.parametrize(
    ("models", "each", "rate", "alike"),
    [(5, 3, 0.3, 0.3), (12, 3, 0.5, 0.5), (30, 3, 0.5, 0.2), (30, 5, 0.1, 0.3), (20, 2, 0.9, 0.9)],
)
def test_rates_over_models_cover_although_canaries_of_a_model_share_its_fate(
    models, each, rate, alike
):
    assert simulated_coverage(models, each, rate, alike, trials=400) >= 0.92


def test_treating_canaries_as_independent_would_not_cover():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        fate = rng.random(20) < 0.5  # all six canaries of a model come out, or none
        lower, upper = wilson(6 * int(fate.sum()), 120)
        covered += lower <= 0.5 <= upper
    assert covered / 400 < 0.7


def test_the_bootstrap_of_a_mean_covers_with_ten_models():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(10), 2)
    covered = 0
    for _ in range(400):
        values = rng.normal(size=(10, 1)) + 0.5 * rng.normal(size=(10, 2))
        lower, upper = cluster_bootstrap(values.ravel(), clusters, resamples=500)
        covered += lower <= 0 <= upper
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("each", [1, 5])
def test_a_rate_of_zero_or_one_keeps_an_interval_that_more_controls_a_model_do_not_narrow(
    value, each
):
    interval = bounded_interval(np.full(20 * each, value), np.repeat(np.arange(20), each))
    assert interval.upper - interval.lower == pytest.approx(wilson(0, 20)[1])
    assert (interval.mean, interval.n, interval.n_models) == (value, 20 * each, 20)


def test_one_canary_a_model_is_wilson():
    values = np.array([1] * 7 + [0] * 13)
    interval = bounded_interval(values, np.arange(20))
    assert (interval.lower, interval.upper) == wilson(7, 20)


def test_a_bounded_measure_is_scaled():
    values = np.random.default_rng(0).uniform(0, 4, 60)
    clusters = np.repeat(np.arange(20), 3)
    scaled = bounded_interval(values, clusters, high=4)
    unit = bounded_interval(values / 4, clusters)
    assert scaled.lower == pytest.approx(4 * unit.lower)
    assert scaled.lower < scaled.mean < scaled.upper


def test_the_bootstrap_is_a_function_of_its_input():
    values, clusters = np.arange(12.0), np.repeat(np.arange(6), 2)
    first = cluster_bootstrap(values, clusters, seed=3)
    assert first == cluster_bootstrap(values, clusters, seed=3)
    assert first != cluster_bootstrap(values, clusters, seed=4)


def test_student_is_over_models_not_over_rows():
    accuracy = np.array([0.8, 0.9, 0.85, 0.95])
    once = student_interval(accuracy, np.arange(4))
    thrice = student_interval(np.repeat(accuracy, 3), np.repeat(np.arange(4), 3))
    assert (once.lower, once.upper) == pytest.approx((thrice.lower, thrice.upper))
    expected = stats.t.interval(0.95, 3, accuracy.mean(), accuracy.std(ddof=1) / 2)
    assert (once.lower, once.upper) == pytest.approx(expected)
    assert np.isnan(student_interval([0.8, 0.8], [0, 0]).lower)


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="21 successes of 20"):
        wilson(21, 20)
    with pytest.raises(ValueError, match="two models"):
        cluster_bootstrap([1.0, 0.0], [0, 0])
