"""Epsilon against an independent accountant, against closed forms, and for groups of any size."""

import importlib.util
import math

import numpy as np
import pytest
from scipy import integrate, stats

from modiva.privacy.accounting import composed_epsilon, epsilon, group_sensitivities
from modiva.privacy.mixture import Mixture, mixture_epsilon

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
    assert epsilon(rate, noise, steps, delta) == pytest.approx(expected, abs=0.02)


def test_a_schedule_agrees_with_opacus_prv_accountant():
    assert composed_epsilon(RATE, ((1.0, 175), (2.0, 175)), 1e-5) == pytest.approx(2.6345, abs=0.02)


@pytest.mark.skipif(importlib.util.find_spec("opacus") is None, reason="Opacus is not installed")
def test_agrees_with_the_opacus_that_is_installed():
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(1.0, RATE, 350)]
    assert epsilon(RATE, 1.0, 350, 1e-5) == pytest.approx(accountant.get_epsilon(1e-5), abs=0.02)


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


def test_one_example_as_a_group_is_what_dp_accounting_gives():
    pair = group_sensitivities(RATE, 1)
    found = mixture_epsilon([Mixture.of(0.7, *pair, 350)], 1e-5)
    assert found == pytest.approx(epsilon(RATE, 0.7, 350, 1e-5), rel=2e-3)


@pytest.mark.parametrize(("noise", "repetitions", "interval"), [(1.0, 4, 1e-3), (0.4, 60, 0.02)])
@pytest.mark.parametrize("added", [False, True])
def test_a_step_of_a_group_has_the_delta_of_its_integral(noise, repetitions, interval, added):
    sensitivities, probabilities = group_sensitivities(0.1, repetitions)
    mixture = Mixture.of(noise, sensitivities, probabilities, 1)
    losses = mixture.losses(added, interval)
    shifts = np.asarray(sensitivities) / noise
    x = np.linspace(-12, shifts.max() + 12, 400_001)
    mixed = sum(p * stats.norm.pdf(x - s) for p, s in zip(probabilities, shifts, strict=True))
    first, second = (stats.norm.pdf(x), mixed) if added else (mixed, stats.norm.pdf(x))
    for level in (0.3, 2.0):
        exact = integrate.simpson(np.maximum(first - math.exp(level) * second, 0), x=x)
        assert exact - 1e-8 <= losses.get_delta_for_epsilon(level) <= exact + interval


def test_a_larger_group_has_a_larger_epsilon():
    found = [epsilon(0.05, 1.0, 20, 1e-5, r) for r in (1, 2, 10, 100)]
    assert found == sorted(found)


def test_little_noise_has_a_large_bound_and_next_to_none_no_bound():
    """Without sampling a step of noise s loses about 1 / (2 s^2); no accountant overflows."""
    for noise in (0.01, 0.001):
        bound = epsilon(1.0, noise, 1, 1e-5)
        assert 1 / (2 * noise**2) < bound < 1.2 / (2 * noise**2)
    assert epsilon(0.1, 1e-6, 100, 1e-5) == math.inf
