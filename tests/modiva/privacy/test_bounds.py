"""Bounds on reconstruction, exposure and membership, against toys whose optimum is known."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from scipy import integrate, stats

from modiva.errors import ModivaError
from modiva.privacy import PrivacyPlan, least_noise
from modiva.privacy.bounds import CHANCE, NO_BOUND


def plan_of(size: int, steps: int, noise: float) -> PrivacyPlan:
    return PrivacyPlan(size, 256 / size, steps, 1.0, noise, 1e-5)


def gaussian(mu: float) -> PrivacyPlan:
    """One step without sampling: the Gaussian mechanism."""
    return PrivacyPlan(100, 1.0, 1, 1.0, 1 / mu, 1e-5)


def to_digits(text: str) -> object:
    """A published figure: right to half of its last digit, or half a percent where that is less."""
    digits = text.partition("e")[0]
    last = 10.0 ** -len(digits.partition(".")[2]) * 10.0 ** float(text.partition("e")[2] or 0)
    return pytest.approx(float(text), abs=max(0.51 * last, 5e-3 * float(text)))


@pytest.mark.parametrize(
    ("size", "steps", "noise", "repetitions", "epsilon", "exact", "exact_of_ten_digits"),
    [
        (2000, 240, 0.5, 1, "63.8", ".973", ".501"),
        (2000, 240, 1.0, 1, "14.4", ".102", "1.0e-4"),
        (2000, 240, 2.0, 1, "4.90", ".0042", "8.1e-8"),
        (2000, 240, 4.0, 1, "2.06", "6.7e-4", "2.6e-9"),
        (9000, 350, 0.5, 1, "20.1", ".134", "7.6e-4"),
        (9000, 350, 1.0, 1, "3.42", ".0016", "2.1e-8"),
        (9000, 350, 2.0, 1, "1.12", "3.1e-4", "7.2e-10"),
        (9000, 350, 4.0, 1, "0.485", "1.7e-4", "2.5e-10"),
        (2000, 240, 0.5, 10, "1700", "1", "1"),
        (2000, 240, 1.0, 10, "398", "1", "1"),
        (2000, 240, 2.0, 10, "106", "1", ".9997"),
        (2000, 240, 4.0, 10, "34.6", ".894", ".097"),
        (9000, 350, 0.5, 10, "284", "1", "1"),
        (9000, 350, 1.0, 10, "58.0", ".988", ".524"),
        (9000, 350, 2.0, 10, "16.6", ".193", "3.3e-4"),
        (9000, 350, 4.0, 10, "6.4", ".0094", "3.4e-7"),
    ],
)
def test_exact_reconstruction_of_a_pin_and_of_ten_digits(
    size, steps, noise, repetitions, epsilon, exact, exact_of_ten_digits
):
    plan = plan_of(size, steps, noise)
    assert plan.group_epsilon(repetitions) == to_digits(epsilon)
    assert plan.bounds(10**4, repetitions).exact_bound == to_digits(exact)
    assert plan.bounds(10**10, repetitions).exact_bound == to_digits(exact_of_ten_digits)


@pytest.mark.parametrize(
    ("size", "steps", "noise", "bits"),
    [
        (2000, 240, 0.5, 13.2),
        (2000, 240, 1.0, 7.1),
        (2000, 240, 2.0, 3.3),
        (2000, 240, 4.0, 2.2),
        (9000, 350, 0.5, 7.0),
        (9000, 350, 1.0, 2.6),
        (9000, 350, 2.0, 1.8),
        (9000, 350, 4.0, 1.6),
    ],
)
def test_exposure_of_a_pin_said_once(size, steps, noise, bits):
    assert plan_of(size, steps, noise).bounds(10**4).exposure_bound == pytest.approx(bits, abs=0.05)


@pytest.mark.parametrize(("noise", "exact", "bits"), [(1.0, 0.055, 6.0), (2.0, 0.0026, 2.96)])
def test_bounds_of_a_study_of_2111_sentences(noise, exact, bits):
    """256 of 2,111 sentences a step; epochs such that epsilon is 12 and 4.1."""
    plan = PrivacyPlan(2111, 256 / 2111, 192, 1.0, noise, 1e-5)
    assert plan.bounds(10**4).exact_bound == pytest.approx(exact, rel=0.03)
    assert plan.bounds(10**4).exposure_bound == pytest.approx(bits, abs=0.05)


@pytest.mark.parametrize("mu", [0.3, 1.0, 4.0])
def test_the_gaussian_mechanism_has_its_closed_form(mu):
    trade_off = gaussian(mu).trade_off()
    rates = np.array([1e-12, 1e-8, 1e-4, 0.01, 0.3, 0.9, 0.999])
    closed = stats.norm.cdf(stats.norm.ppf(rates) + mu)
    assert trade_off(rates) == pytest.approx(closed, rel=1e-3)
    assert (trade_off(rates) >= closed - 1e-12).all()
    assert trade_off.area() == pytest.approx(stats.norm.cdf(mu / math.sqrt(2)), abs=1e-5)


def test_a_check_value_of_the_closed_form():
    assert float(gaussian(1.0).trade_off()(1e-4)) == pytest.approx(0.00327382, rel=1e-4)


@pytest.mark.parametrize(
    ("mu", "size", "optimum", "bound"),
    [(2.0, 10**4, 0.03763, 0.04281), (4.0, 10**10, 0.00803, 0.00910)],
)
def test_the_bound_is_above_the_best_attack_on_gaussians_and_near_it(mu, size, optimum, bound):
    """K sums, one of them moved by mu: the best attack names the largest."""

    def density(x: float) -> float:
        return stats.norm.pdf(x - mu) * math.exp((size - 1) * stats.norm.logcdf(x))

    best, _ = integrate.quad(density, mu - 9, mu + 9, limit=200)
    assert best == pytest.approx(optimum, rel=5e-3)
    found = gaussian(mu).bounds(size).exact_bound
    assert found == pytest.approx(bound, rel=2e-3)
    assert best < found < 1.21 * best


@pytest.mark.parametrize(
    ("noise", "repetitions", "optimum", "bound", "exposures"),
    [(1.0, 1, 0.0912, 0.1021, (7.07, 7.11)), (4.0, 10, 0.859, 0.894, None)],
)
def test_the_bound_is_above_the_best_attack_on_dp_sgd(
    noise, repetitions, optimum, bound, exposures
):
    """Each secret moves a sum of its own in sampled steps: the best attack names the likeliest."""
    size, draws, rate, steps = 10**4, 20_000, 256 / 2000, 240
    rng = np.random.default_rng(0)
    losses = np.zeros(draws)
    shifts = np.arange(repetitions + 1) / noise
    weights = stats.binom.pmf(np.arange(repetitions + 1), repetitions, rate)
    for _ in range(steps):
        moved = rng.binomial(repetitions, rate, draws) / noise
        x = moved + rng.standard_normal(draws)
        losses += np.log(np.exp(np.outer(x, shifts) - shifts**2 / 2) @ weights)
    losses.sort()
    # Of another secret's loss, by importance: Q[L > l] = E_P[exp(-L); L > l].
    above = np.append(np.cumsum(np.exp(-losses)[::-1])[::-1][1:], 0.0) / draws
    best = np.exp((size - 1) * np.log1p(-np.minimum(above, 1 - 1e-12))).mean()
    assert best == pytest.approx(optimum, abs=0.012)
    bounds = plan_of(2000, 240, noise).bounds(size, repetitions)
    assert bounds.exact_bound == pytest.approx(bound, abs=6e-4)
    assert best < bounds.exact_bound
    if exposures:
        ranks = np.arange(1, size)
        rank = rng.binomial(size - 1, np.minimum(above, 1.0)) + 1
        gained = np.append(np.cumsum(np.log2((ranks + 1) / ranks)[::-1])[::-1], 0.0)
        assert gained[rank - 1].mean() == pytest.approx(exposures[0], abs=0.06)
        assert bounds.exposure_bound == pytest.approx(exposures[1], abs=0.01)
        assert gained[rank - 1].mean() < bounds.exposure_bound


@pytest.mark.parametrize("noise", [2.0, 4.0])
def test_agrees_with_dp_accounting(noise):
    losses = from_gaussian_mechanism(
        noise, sampling_prob=256 / 2000, value_discretization_interval=1e-3
    ).self_compose(240)
    epsilons = np.arange(0.0, 10.0, 0.01)
    deltas = np.array(losses.get_delta_for_epsilon(epsilons))
    trade_off = plan_of(2000, 240, noise).trade_off()
    for rate in (1e-4, 1e-2, 0.2):
        theirs = float(np.min(np.exp(epsilons) * rate + deltas))
        assert float(trade_off(rate)) == pytest.approx(theirs, rel=1e-3)


def test_a_secret_that_was_not_planted_is_guessed():
    for bounds in (plan_of(2000, 240, 1.0).bounds(10**4, 0), plan_of(2000, 240, 0.0).bounds(1, 1)):
        assert bounds.auc_bound in (0.5, 1.0)
    assert CHANCE.exposure(10**4) == pytest.approx(1.4419, abs=5e-5)
    assert CHANCE.exposure(10**10) == pytest.approx(math.log2(math.e), abs=1e-5)
    assert plan_of(2000, 240, 1.0).bounds(10**4, 0).exact_bound == 1e-4
    assert CHANCE.area() == 0.5


def test_without_noise_everything_may_come_back():
    bounds = plan_of(2000, 240, 0.0).bounds(10**4)
    assert bounds.exact_bound == bounds.top10_bound == bounds.auc_bound == 1
    assert bounds.exposure_bound == pytest.approx(math.log2(10**4))
    assert NO_BOUND(0.0) == 1


def test_exposure_in_blocks_is_that_of_single_ranks():
    trade_off = plan_of(2000, 240, 1.0).trade_off()
    ranks = np.arange(1.0, 10**6)
    single = float((trade_off(ranks / 10**6) * np.log2((ranks + 1) / ranks)).sum())
    assert trade_off.exposure(10**6) == pytest.approx(single, abs=1e-4)
    assert trade_off.exposure(10**6) >= single - 1e-9


def test_twice_the_sensitivity_is_half_the_noise():
    twice, half = replace(plan_of(2000, 240, 2.0), sensitivity=2), plan_of(2000, 240, 1.0)
    assert twice.bounds(10**4) == half.bounds(10**4)


def test_bounds_rise_with_repetitions_and_fall_with_noise():
    plans = [plan_of(2000, 40, noise) for noise in (0.7, 1.5, 3.0)]
    for name in asdict(plans[0].bounds(10)):
        by_noise = [getattr(plan.bounds(10**4), name) for plan in plans]
        assert by_noise == sorted(by_noise, reverse=True)
        by_copies = [getattr(plans[2].bounds(10**4, copies), name) for copies in (0, 1, 3, 10, 100)]
        assert by_copies == sorted(by_copies)


@pytest.mark.parametrize("noise", [1.0, 3.9, 4.0, 4.03, 10.0])
def test_the_trade_off_is_the_least_of_its_lines(noise):
    trade_off = plan_of(2000, 320, noise).trade_off(10)
    rates = 10.0 ** -np.arange(12)
    least = np.min(np.outer(rates, trade_off.slopes) + trade_off.offsets, axis=1)
    assert trade_off(rates) == pytest.approx(np.minimum(least, 1.0), rel=1e-9)


@pytest.mark.parametrize(("rate", "noise", "steps"), [(1e-4, 1.0, 500_000)])
def test_however_many_steps_the_grid_is_as_fine_as_they_need(rate, noise, steps):
    plan = PrivacyPlan(1000, rate, steps, 1.0, noise, 1e-5)
    losses = from_gaussian_mechanism(
        noise, sampling_prob=rate, value_discretization_interval=2e-5
    ).self_compose(steps)
    epsilons = np.arange(0.0, 8.0, 0.02)
    lines = np.exp(epsilons) * 1e-4 + np.array(losses.get_delta_for_epsilon(epsilons))
    assert float(plan.trade_off()(1e-4)) == pytest.approx(float(lines.min()), rel=5e-3)


def test_a_schedule_has_the_trade_off_of_its_steps():
    falling = replace(plan_of(2000, 40, 1.0), noise_multiplier=(2.0,) * 20 + (1.0,) * 20)
    less, more = (plan_of(2000, 40, noise).bounds(10**4).exact_bound for noise in (2.0, 1.0))
    assert less < falling.bounds(10**4).exact_bound < more


def test_the_noise_for_a_wanted_bound_reaches_it_and_little_more():
    plan = least_noise(
        lambda noise: plan_of(2000, 240, noise),
        lambda plan: plan.bounds(10**4, 10).exact_bound,
        "exact_bound",
        0.01,
    )
    assert 0.0097 < plan.bounds(10**4, 10).exact_bound <= 0.01


@pytest.mark.parametrize("arguments", [(0, 1), (10, -1)])
def test_values_out_of_range_are_named(arguments):
    with pytest.raises(ModivaError, match="must be"):
        plan_of(2000, 240, 1.0).bounds(*arguments)
