"""User-level privacy: what one device can move, and what is claimed for it."""

import math

import numpy as np
import pytest
import torch

from modiva.handling import Federated
from modiva.training.federated.partition import client_sizes
from modiva.training.federated.privacy import UserPrivacy, device_epsilon, update_norms, user_plan
from modiva.training.federated.selection import inclusion


def privacy(clients=100, per_round=10, rounds=50, **settings):
    federation = Federated(clients=clients, per_round=per_round, rounds=rounds, **settings)
    rates = np.full(clients, per_round / clients)
    return UserPrivacy(federation, rates, seed=1)


@pytest.mark.parametrize(
    ("clients", "per_round", "rounds", "epsilons"),
    [(100, 10, 50, (22.6, 5.2, 1.7)), (1_000, 50, 100, (18.2, 3.5, 1.1))],
)
def test_epsilon_of_a_device_is_that_of_the_design(clients, per_round, rounds, epsilons):
    for noise, epsilon in zip((0.5, 1.0, 2.0), epsilons, strict=True):
        settings = Federated(
            clients=clients, per_round=per_round, rounds=rounds, noise_multiplier=noise
        )
        assert user_plan(settings, per_round / clients).epsilon() == pytest.approx(
            epsilon, abs=0.06
        )


def test_selection_by_activity_has_an_epsilon_for_every_device():
    """A thousand devices with Zipf sizes: the heaviest takes part in every round."""
    settings = Federated(
        clients=1_000, per_round=50, rounds=100, noise_multiplier=1.0, selection="activity"
    )
    sizes = client_sizes("zipf", 1.0, 13_084, 1_000, np.random.default_rng(0))
    rates = inclusion(sizes, settings.power, settings.per_round)
    plan = user_plan(settings, float(rates.max()))
    assert plan.epsilon() == pytest.approx(91.8, rel=0.02)
    assert device_epsilon(plan, float(np.median(rates))) < 3.5  # what uniform selection gives all
    described = UserPrivacy(settings, rates, seed=0).describe([])
    assert len(described["epsilon_by_device"]) == 1_000
    assert max(described["epsilon_by_device"]) == pytest.approx(plan.epsilon())


def random_updates(clients, scale, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return {
        "a": scale * torch.randn(clients, 3, 4, generator=draws),
        "b": scale * torch.randn(clients, 5, generator=draws),
    }


def test_one_device_more_moves_the_sum_by_the_clip_norm_at_most():
    bound = privacy(noise_multiplier=1.0, clip_norm=0.7)
    for scale in (1e-3, 0.1, 1.0, 1e4):
        updates = random_updates(8, scale)
        before = update_norms(updates)
        bound.clip(updates)
        after = update_norms(updates)
        assert float(after.max()) <= 0.7 * (1 + 1e-6)
        assert torch.allclose(after, before.clamp_max(0.7), rtol=1e-5)


def test_the_divisor_is_the_expected_number_of_devices_whoever_took_part():
    bound = privacy(noise_multiplier=1e-9, clip_norm=1.0)
    total = {"w": torch.full((3,), 20.0)}
    bound.release(total, 1)
    assert total["w"].tolist() == pytest.approx([2.0] * 3)


@pytest.mark.parametrize("clip_norm", [0.5, None])
def test_the_sum_is_released_with_the_noise_that_the_plan_promises(clip_norm):
    bound = privacy(noise_multiplier=2.0, clip_norm=clip_norm)
    total = {"w": torch.zeros(200_000)}
    norm = bound.clip_norm
    bound.release(total, 1)
    if clip_norm is None:  # the count of unclipped updates takes its part
        combined = (bound.noise**-2 + (2 * bound.count_noise) ** -2) ** -0.5
        assert combined == pytest.approx(2.0)
        assert 2.0 < bound.noise < 1.04 * 2.0
    assert float(total["w"].std()) * 10 / norm == pytest.approx(bound.noise, rel=0.01)


@pytest.mark.parametrize("scale", [1e-3, 1e3])  # not clipped, clipped
def test_one_device_more_moves_the_count_by_half_as_the_accounting_says(scale):
    """Andrew et al. 2021, theorem 1, is of the sum of b - 1/2; the sum of b moves by 1."""
    norms = []
    for devices in (0, 1):
        bound = privacy(noise_multiplier=1.0)
        if devices:
            bound.clip(random_updates(devices, scale))
        bound.release({"w": torch.zeros(1)}, 1)
        norms.append(bound.clip_norm)
    moved = math.log(norms[1] / norms[0]) * 10 / 0.2
    assert moved == pytest.approx(-0.5 if scale < 1 else 0.5)


def test_the_clip_norm_adapts_to_the_median_of_the_updates():
    bound = privacy(clients=10_000, per_round=1_000, noise_multiplier=0.5, rounds=200)
    for round_ in range(200):
        updates = random_updates(1_000, 3.0, seed=round_)
        median = float(update_norms(updates).median())
        bound.clip(updates)
        bound.release({"w": torch.zeros(1)}, round_)
    assert bound.clip_norm == pytest.approx(median, rel=0.1)
    assert math.isfinite(bound.plan.epsilon())
