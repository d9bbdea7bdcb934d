"""Epsilon of a plan, of a group, of a schedule, and the plan for a wanted epsilon."""

import json
import math
from dataclasses import FrozenInstanceError, replace

import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.rdp import RdpAccountant
from scipy import stats

from modiva.errors import ModivaError
from modiva.privacy import PrivacyPlan, calibrate
from modiva.privacy.accounting import group_sensitivities

PLAN = PrivacyPlan(
    dataset_size=9000,
    sampling_rate=256 / 9000,
    steps=350,
    clip_norm=1.0,
    noise_multiplier=1.0,
    delta=1e-5,
)


@pytest.mark.parametrize(
    ("noise", "repetitions", "expected"),
    [
        (0.5, 1, 20.06),
        (0.7, 1, 7.96),
        (1.0, 1, 3.42),
        (2.0, 1, 1.12),
        (1.0, 10, 57.9),
        (2.0, 10, 16.6),
        (2.0, 100, 547),
    ],
)
def test_check_values(noise, repetitions, expected):
    found = replace(PLAN, noise_multiplier=noise).group_epsilon(repetitions)
    assert found == pytest.approx(expected, rel=4e-3)


def test_epsilon_is_below_that_of_renyi_accounting():
    accountant = RdpAccountant()
    accountant.compose(PoissonSampledDpEvent(PLAN.sampling_rate, GaussianDpEvent(1.0)), 350)
    renyi = accountant.get_epsilon(PLAN.delta)
    assert 0.7 * renyi < PLAN.epsilon() < renyi


def test_without_sampling_epsilon_is_that_of_the_gaussian_mechanism():
    # Balle and Wang 2018 (arXiv 1805.06530), theorem 8.
    def delta_of(epsilon: float, std: float) -> float:
        a, b = 1 / (2 * std), epsilon * std
        return stats.norm.cdf(a - b) - math.exp(epsilon) * stats.norm.cdf(-a - b)

    plan = PrivacyPlan(100, 1.0, 4, 1.0, 3.0, 1e-5)
    assert delta_of(plan.epsilon(), 3 / 2) == pytest.approx(1e-5, rel=0.02)
    # A group of R moves the sum by R clip norms.
    assert delta_of(plan.group_epsilon(3), 3 / 2 / 3) == pytest.approx(1e-5, rel=0.02)


def test_more_noise_helps_and_more_repetitions_hurt():
    small = PrivacyPlan(1000, 0.05, 20, 1.0, 1.0, 1e-5)
    by_noise = [replace(small, noise_multiplier=noise).epsilon() for noise in (0.3, 0.6, 1.0, 2.0)]
    assert by_noise == sorted(by_noise, reverse=True)
    by_repetitions = [small.group_epsilon(r) for r in (0, 1, 2, 10, 100, 1000)]
    assert by_repetitions == sorted(by_repetitions)
    assert by_repetitions[0] == 0
    assert small.group_epsilon(1) == small.epsilon()


@pytest.mark.parametrize(("rate", "repetitions"), [(0.03, 100), (0.03, 1000), (0.5, 400), (1.0, 7)])
def test_tails_of_a_group_are_cut_upwards_only(rate, repetitions):
    movements, probabilities = group_sensitivities(rate, repetitions)
    assert sum(probabilities) == pytest.approx(1, abs=1e-12)
    assert max(movements) <= repetitions
    binomial = stats.binom(repetitions, rate)
    for movement in movements:
        at_least = sum(p for m, p in zip(movements, probabilities, strict=True) if m >= movement)
        assert at_least >= float(binomial.sf(movement - 1)) * (1 - 1e-9)


def test_no_noise_is_no_privacy():
    plan = replace(PLAN, noise_multiplier=0.0)
    assert plan.epsilon() == math.inf
    assert plan.describe()["epsilon"] is None


def test_a_schedule_is_composed_of_its_steps():
    constant = replace(PLAN, noise_multiplier=(1.0,) * 350)
    assert constant.epsilon() == pytest.approx(PLAN.epsilon(), abs=1e-6)
    falling = replace(PLAN, noise_multiplier=(2.0,) * 175 + (1.0,) * 175)
    assert replace(PLAN, noise_multiplier=2.0).epsilon() < falling.epsilon() < PLAN.epsilon()
    assert falling.noise_std(0) == 2.0
    assert falling.noise_std(349) == 1.0


def test_noise_that_decays_by_a_twentieth_an_epoch():
    decaying = tuple(0.95**epoch for epoch in range(10) for _ in range(35))
    assert replace(PLAN, noise_multiplier=decaying).epsilon() == pytest.approx(7.04, abs=0.01)


def test_twice_the_sensitivity_is_half_the_noise():
    twice = replace(PLAN, sensitivity=2)
    half = replace(PLAN, noise_multiplier=0.5)
    assert twice.epsilon() == half.epsilon() == pytest.approx(20.06, abs=0.05)
    small = PrivacyPlan(1000, 0.05, 20, 1.0, 2.0, 1e-5, sensitivity=2)
    one = replace(small, sensitivity=1, noise_multiplier=1.0)
    assert small.group_epsilon(10) == one.group_epsilon(10)
    # The noise itself is that of the multiplier, whatever one example can move.
    assert twice.noise_std(0) == PLAN.noise_std(0)


def test_a_plan_shows_its_noise_and_epsilon_with_and_without_the_sensitivity():
    described = PrivacyPlan(1000, 0.05, 20, 1.0, 2.0, 1e-5, sensitivity=2).describe()
    assert described["sensitivity"] == 2
    assert (described["noise_multiplier"], described["effective_noise_multiplier"]) == (2.0, 1.0)
    assert described["epsilon"] > described["epsilon_at_sensitivity_1"]
    exact = PrivacyPlan(1000, 0.05, 20, 1.0, 2.0, 1e-5).describe()
    assert exact["epsilon"] == described["epsilon_at_sensitivity_1"]
    assert exact["effective_noise_multiplier"] == exact["noise_multiplier"]


def test_a_plan_is_verified_against_what_runs():
    PLAN.verify(clip_norm=1.0, sensitivity=1)
    with pytest.raises(ModivaError, match="has sensitivity=1, and sensitivity=2"):
        PLAN.verify(clip_norm=1.0, sensitivity=2)


def test_a_schedule_with_twice_the_sensitivity_is_calibrated():
    schedule = tuple(0.9**epoch for epoch in range(4) for _ in range(5))
    plan = calibrate(
        epsilon=3.0,
        delta=1e-5,
        dataset_size=1000,
        sampling_rate=0.2,
        steps=20,
        clip_norm=1.0,
        sensitivity=2,
        noise_schedule=schedule,
    )
    assert 2.97 < plan.epsilon() <= 3.0
    ratios = [noise / plan.noise_multipliers[0] for noise in plan.noise_multipliers]
    assert ratios == pytest.approx(list(schedule))


@pytest.mark.parametrize("epsilon", [0.5, 3.0, 8.0])
def test_calibration_spends_the_whole_epsilon_and_no_more(epsilon):
    plan = calibrate(
        epsilon=epsilon,
        delta=1e-5,
        dataset_size=9000,
        sampling_rate=256 / 9000,
        steps=350,
        clip_norm=0.5,
    )
    assert 0.99 * epsilon < plan.epsilon() <= epsilon
    assert plan.noise_std(0) == pytest.approx(0.5 * plan.noise_multipliers[0])
    assert plan.expected_batch_size == pytest.approx(256)


def test_a_plan_survives_json_and_cannot_be_changed():
    scheduled = replace(PLAN, steps=2, noise_multiplier=(1.0, 2.0))
    for plan in (PLAN, scheduled, replace(scheduled, sensitivity=2)):
        assert PrivacyPlan.read(json.loads(json.dumps(plan.describe()))) == plan
    older = {key: value for key, value in PLAN.describe().items() if key != "sensitivity"}
    assert PrivacyPlan.read(older) == PLAN
    with pytest.raises(FrozenInstanceError):
        PLAN.steps = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset_size", 0),
        ("sampling_rate", 0.0),
        ("sampling_rate", 1.5),
        ("sampling_rate", math.nan),
        ("steps", 0),
        ("clip_norm", 0.0),
        ("noise_multiplier", -1.0),
        ("noise_multiplier", (1.0, 2.0)),
        ("delta", 0.0),
        ("delta", 1.0),
        ("neighbouring", "replace-one"),
        ("sensitivity", 0),
        ("sensitivity", 1.5),
    ],
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(ModivaError, match=field):
        replace(PLAN, **{field: value})


def test_an_epsilon_that_no_noise_reaches_is_refused():
    settings = {"delta": 1e-9, "dataset_size": 10, "sampling_rate": 1.0, "clip_norm": 1.0}
    with pytest.raises(ModivaError, match="larger epsilon"):
        calibrate(epsilon=1e-4, steps=1000, **settings)
    with pytest.raises(ModivaError, match="epsilon=0"):
        calibrate(epsilon=0, steps=10, **settings)
