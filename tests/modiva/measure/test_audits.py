"""Audits against published values, and how often they are wrong where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from modiva.measure.audits import (
    gaussian_epsilon,
    many_run_audit,
    one_of_each,
    one_run_audit,
    one_run_p_value,
    one_run_rejects_mu,
    rank_audit,
    violation,
)

PIN = 10**4


@pytest.mark.parametrize(
    ("first", "models", "epsilon", "mu"),
    [(1, 1, 6.214, 2.074), (1, 21, 3.190, 0.904), (21, 21, 9.068, 4.832)],
)
def test_ranks_one_of_ten_thousand(first, models, epsilon, mu):
    ranks = [1] * first + [5000] * (models - first)
    found = rank_audit(ranks, PIN, 1e-5, hits=(1,))
    assert found.epsilon == pytest.approx(epsilon, abs=1e-3)
    assert found.mu == pytest.approx(mu, abs=1e-3)
    assert found.k == 1


def test_a_rank_is_used_at_the_k_that_shows_most():
    assert rank_audit([90] * 20, PIN, 1e-5).k == 100
    assert rank_audit([1] * 20, PIN, 1e-5).k == 1
    assert rank_audit([9000] * 20, PIN, 1e-5) == rank_audit([9000] * 20, 100_000_000, 1e-5)
    # Every k that is tried costs its share of alpha.
    assert (
        rank_audit([1] * 20, PIN, 1e-5).epsilon < rank_audit([1] * 20, PIN, 1e-5, hits=(1,)).epsilon
    )


def test_many_runs_that_are_all_told_apart():
    found = many_run_audit(100, 100, 0, 100, 0.0)
    assert found.epsilon == pytest.approx(3.281, abs=1e-3)
    assert found.mu == pytest.approx(3.593, abs=1e-3)
    assert many_run_audit(100, 100, 0, 100, 0.0, both=True).epsilon < found.epsilon
    # The test that is right when it says "absent" is the swapped one.
    assert many_run_audit(60, 100, 50, 100, 0.0).epsilon < 0.1
    assert many_run_audit(100, 100, 50, 100, 0.0, both=True).epsilon > 1


@pytest.mark.parametrize(("delta", "p_value"), [(0.0, 2.736e-5), (1e-5, 8.413e-4)])
def test_p_values_of_one_run(delta, p_value):
    assert one_run_p_value(1000, 100, 90, 1.0, delta) == pytest.approx(p_value, rel=1e-3)


@pytest.mark.parametrize(
    ("records", "guesses", "right", "epsilon", "mu"),
    [
        (100, 100, 100, 3.490, 1.703),
        (1000, 100, 95, 2.165, 0.787),
        (1000, 1000, 1000, 5.782, 2.368),
    ],
)
def test_one_run(records, guesses, right, epsilon, mu):
    found = one_run_audit(records, guesses, right, 1e-5)
    assert found.epsilon == pytest.approx(epsilon, abs=1e-3)
    assert found.mu == pytest.approx(mu, abs=1e-3)


@pytest.mark.parametrize(("mu", "epsilon"), [(1.0, 4.377), (2.0, 9.997), (0.0, 0.0)])
def test_epsilon_of_gaussian_privacy(mu, epsilon):
    assert gaussian_epsilon(mu, 1e-5) == pytest.approx(epsilon, abs=1e-3)


def test_nothing_found_shows_nothing():
    assert rank_audit([5000] * 20, PIN, 1e-5).epsilon == 0
    assert many_run_audit(0, 10, 0, 10, 1e-5).epsilon == 0
    assert (
        one_run_audit(100, 100, 0, 1e-5).epsilon == one_run_audit(100, 100, 50, 1e-5).epsilon == 0
    )


def test_of_never_planted_secrets_few_audits_say_anything():
    """Uniform ranks: at most 5 % of audits may show a loss, or a broken claim of chance."""
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, PIN + 1, (2000, 21))
    alarms = np.mean([rank_audit(drawn, PIN, 0.0).epsilon > 0 for drawn in ranks])
    assert 0 < alarms < 0.02
    chance = {1: 1e-4, 10: 1e-3}
    assert np.mean([violation(drawn, chance) < 0.05 for drawn in ranks]) < 0.05


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_many_runs_of_randomised_response_are_rarely_above_its_epsilon(epsilon):
    rng = np.random.default_rng(1)
    rate = 1 / (1 + np.exp(-epsilon))
    wrong = [
        many_run_audit(int(found), 50, int(alarms), 50, 0.0, both=True).epsilon > epsilon
        for found, alarms in zip(
            rng.binomial(50, rate, 1000), rng.binomial(50, 1 - rate, 1000), strict=True
        )
    ]
    assert np.mean(wrong) <= 0.05


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_one_run_of_randomised_response_is_rarely_above_its_epsilon(epsilon):
    right = np.random.default_rng(2).binomial(100, 1 / (1 + np.exp(-epsilon)), 4000)
    wrong = [one_run_p_value(100, 100, v, epsilon, 0.0) < 0.05 for v in range(101)]
    assert 0.01 < np.mean([wrong[v] for v in right]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("mu", [0.0, 0.5, 2.0])
def test_one_run_of_gaussian_sums_is_rarely_above_its_mu(mu):
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2, (2000, 200))
    scores = mu * (bits - 0.5) + rng.standard_normal(bits.shape)
    sure = np.argsort(-np.abs(scores), axis=1)[:, :50]
    guessed = np.take_along_axis(scores > 0, sure, 1)
    right = (guessed == np.take_along_axis(bits, sure, 1)).sum(1)
    wrong = [one_run_rejects_mu(200, 50, v, mu) for v in range(51)]
    assert np.mean([wrong[v] for v in right]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_choosing_the_best_number_of_guesses_afterwards_is_wrong_too_often():
    """Why the number of guesses is fixed beforehand."""
    rng = np.random.default_rng(4)
    right = (rng.random((500, 100)) < 0.5).cumsum(1)
    tried = np.arange(5, 101, 5)
    alarms = (stats.binom.sf(right[:, tried - 1] - 1, tried, 0.5) < 0.05).any(1)
    assert alarms.mean() > 0.1
    shared = (stats.binom.sf(right[:, tried - 1] - 1, tried, 0.5) < 0.05 / len(tried)).any(1)
    assert shared.mean() <= 0.05


def test_a_claim_is_rejected_where_ranks_are_better_than_it_allows():
    allowed = {1: 0.0042, 10: 0.0217}
    assert violation([1] + [5000] * 20, allowed) > 0.05
    assert violation([1] * 3 + [5000] * 18, allowed) < 1e-3
    assert violation([5000] * 21, allowed) == 1
    assert violation([1] * 21, {1: 1.0, 10: 1.0}) == 1


def test_one_secret_of_each_model_is_drawn():
    models = np.repeat([5, 7, 9], [4, 1, 3])
    drawn = one_of_each(models)
    assert models[drawn].tolist() == [5, 7, 9]
    assert {tuple(one_of_each(models, seed)) for seed in range(200)} == {
        (a, 4, b) for a in range(4) for b in (5, 6, 7)
    }
