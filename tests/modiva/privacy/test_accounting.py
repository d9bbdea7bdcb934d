"""Epsilon against an independent accountant, against closed forms, and for groups of any size."""

import importlib.util
import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from dp_accounting.rdp import RdpAccountant
from scipy import integrate, optimize, stats

from modiva.privacy.accounting import composed_epsilon, epsilon, group_sensitivities
from modiva.privacy.mixture import Losses, Mixture

RATE = 256 / 9000
# (sampling rate, noise multiplier, steps, delta) and epsilon of Opacus 1.6.0's PRVAccountant
# (Gopi et al. 2021) at eps_error=0.002 and delta_error=delta / 1000.
PRV = [
    (RATE, 1.0, 350, 1e-5, 3.4175),
    (RATE, 0.7, 350, 1e-5, 7.9590),
    (RATE, 0.5, 350, 1e-5, 20.0672),
    (RATE, 2.0, 350, 1e-5, 1.1260),
    (256 / 2111, 1.0, 197, 1e-5, 12.2101),
    (0.01, 0.8, 2000, 1e-6, 4.9467),
    (1.0, 5.0, 20, 1e-5, 3.8508),
    (256 / 13084, 1.5, 2000, 1e-6, 3.1575),
    (0.001, 0.6, 5000, 1e-7, 3.4396),
]


@pytest.mark.parametrize(("rate", "noise", "steps", "delta", "expected"), PRV)
def test_agrees_with_opacus_prv_accountant(rate, noise, steps, delta, expected):
    assert epsilon(rate, noise, steps, delta) == pytest.approx(expected, rel=1e-3, abs=0.003)


def test_a_schedule_agrees_with_opacus_prv_accountant():
    found = composed_epsilon(RATE, ((1.0, 175), (2.0, 175)), 1e-5)
    assert found == pytest.approx(2.6345, rel=1e-3, abs=0.003)


@pytest.mark.skipif(importlib.util.find_spec("opacus") is None, reason="Opacus is not installed")
def test_agrees_with_the_opacus_that_is_installed():
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(1.0, RATE, 350)]
    assert epsilon(RATE, 1.0, 350, 1e-5) == pytest.approx(accountant.get_epsilon(1e-5), abs=0.02)


def accounted(rate: float, noise: float, steps: int, delta: float, interval: float) -> float:
    """Epsilon of dp-accounting, an upper bound at any interval of its grid."""
    accountant = PLDAccountant(value_discretization_interval=interval)
    accountant.compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    return float(accountant.get_epsilon(delta))


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "delta", "interval"),
    [
        (RATE, 0.7, 350, 1e-5, 5e-4),
        (1e-4, 1.53, 300_000, 1e-5, 3e-6),
        (1e-3, 0.8, 50_000, 1e-6, 2e-4),
        (1e-5, 2.0, 1_000_000, 1e-5, 1e-6),
        (0.2, 20.0, 1_000, 1e-7, 1e-4),
    ],
)
def test_however_many_steps_the_grid_is_as_fine_as_they_need(rate, noise, steps, delta, interval):
    """At a fixed interval of 1e-3 the second of these is 0.43 where 0.126 is right."""
    found = epsilon(rate, noise, steps, delta)
    fine = accounted(rate, noise, steps, delta, interval)
    assert found == pytest.approx(fine, abs=1e-3)
    renyi = RdpAccountant()
    renyi.compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    assert found < renyi.get_epsilon(delta)


@pytest.mark.parametrize(
    ("rate", "noise", "steps"), [(1e-4, 1.53, 300_000), (1e-5, 2.0, 1_000_000), (1e-3, 2.0, 10_000)]
)
def test_many_rare_steps_are_one_gaussian_mechanism(rate, noise, steps):
    """Bu, Dong, Long and Su 2020 (arXiv 1911.11607), theorem 5: the central limit of DP-SGD."""
    move = rate * math.sqrt(steps * math.expm1(1 / noise**2))
    assert epsilon(rate, noise, steps, 1e-5) == pytest.approx(gaussian(move, 1e-5), rel=0.02)


def gaussian(move: float, delta: float) -> float:
    """Epsilon where the mean moves by `move` deviations: Balle and Wang 2018, theorem 8."""

    def excess(found: float) -> float:
        second = found + stats.norm.logcdf(-found / move - move / 2)
        return float(stats.norm.sf(found / move - move / 2) - math.exp(second) - delta)

    return float(optimize.brentq(excess, 0, move**2 + 20 * move, xtol=1e-9))


@pytest.mark.parametrize("noise", [0.3, 1.0, 7.0, 50.0])
@pytest.mark.parametrize("steps", [1, 30, 2_000, 100_000])
def test_without_sampling_epsilon_is_exact_and_never_below(noise, steps):
    exact = gaussian(math.sqrt(steps) / noise, 1e-5)
    assert exact <= epsilon(1.0, noise, steps, 1e-5) <= exact + max(5e-4 * exact, 2.5e-4)


@pytest.mark.parametrize(
    ("rate", "noise", "steps"), [(0.3, 0.5, 5), (0.02, 0.4, 20), (0.1, 1.0, 40)]
)
def test_epsilon_is_not_below_an_optimistic_estimate(rate, noise, steps):
    optimistic = from_gaussian_mechanism(
        noise,
        pessimistic_estimate=False,
        value_discretization_interval=5e-4,
        sampling_prob=rate,
        use_connect_dots=False,
    ).self_compose(steps)
    floor = optimistic.get_epsilon_for_delta(1e-5)
    assert floor <= epsilon(rate, noise, steps, 1e-5) <= floor * 1.0005 + steps * 5e-4


@pytest.mark.parametrize(
    ("noise", "repetitions", "expected"),
    [
        (2.0, 10, 16.58),
        (1.0, 10, 57.9),
        (2.0, 100, 547),
        (0.7, 100, 4619),  # dp-accounting's own mixture overflows from here on
        (0.1, 100, 239_900),
    ],
)
def test_groups(noise, repetitions, expected):
    found = epsilon(RATE, noise, 350, 1e-5, repetitions)
    assert found == pytest.approx(expected, rel=3e-3)


def test_a_group_that_meets_nearly_every_step_has_a_finite_bound():
    found = epsilon(256 / 1400, 2.0, 160, 1e-5, repetitions=200)
    # Not below a mechanism that moves by the mean movement every time, nor far above it.
    mean = 200 * 256 / 1400 / 2.0 * math.sqrt(160)
    assert mean**2 / 2 < found < 1.4 * mean**2 / 2
    assert math.isfinite(epsilon(0.08, 0.1, 160, 1e-5, repetitions=1000))


@pytest.mark.parametrize(("noise", "repetitions", "steps"), [(3.0, 3, 4), (0.5, 100, 1)])
def test_without_sampling_a_group_is_a_gaussian_mechanism(noise, repetitions, steps):
    # Balle and Wang 2018 (arXiv 1805.06530), theorem 8, in logarithms.
    move = repetitions * math.sqrt(steps) / noise

    def delta_of(found: float) -> float:
        second = found + stats.norm.logcdf(-found / move - move / 2)
        return stats.norm.sf(found / move - move / 2) - math.exp(second)

    found = epsilon(1.0, noise, steps, 1e-5, repetitions)
    assert delta_of(found) <= 1e-5 * (1 + 1e-6)
    assert delta_of(found * 0.999) > 1e-5


@pytest.mark.parametrize(("noise", "repetitions", "interval"), [(1.0, 4, 1e-3), (0.4, 60, 0.02)])
@pytest.mark.parametrize("added", [False, True])
def test_a_step_of_a_group_has_the_delta_of_its_integral(noise, repetitions, interval, added):
    sensitivities, probabilities = group_sensitivities(0.1, repetitions)
    mixture = Mixture.of(noise, sensitivities, probabilities, 1)
    found = Losses.of(mixture, added, interval, 1e-20)
    losses = (found.first + np.arange(len(found.probabilities))) * interval
    shifts = np.asarray(sensitivities) / noise
    x = np.linspace(-12, shifts.max() + 12, 400_001)
    mixed = sum(p * stats.norm.pdf(x - s) for p, s in zip(probabilities, shifts, strict=True))
    first, second = (stats.norm.pdf(x), mixed) if added else (mixed, stats.norm.pdf(x))
    for level in (0.3, 2.0):
        exact = integrate.simpson(np.maximum(first - math.exp(level) * second, 0), x=x)
        ours = found.infinite + found.probabilities @ np.maximum(-np.expm1(level - losses), 0)
        assert exact - 1e-8 <= ours <= exact + interval**2


def test_a_larger_group_has_a_larger_epsilon():
    found = [epsilon(0.05, 1.0, 20, 1e-5, r) for r in (1, 2, 10, 100)]
    assert found == sorted(found)


def test_little_noise_has_a_large_bound_and_next_to_none_no_bound():
    """Without sampling a step of noise s loses about 1 / (2 s^2); no accountant overflows."""
    for noise in (0.01, 0.001):
        bound = epsilon(1.0, noise, 1, 1e-5)
        assert 1 / (2 * noise**2) < bound < 1.2 / (2 * noise**2)
    assert epsilon(0.1, 1e-6, 100, 1e-5) == math.inf
