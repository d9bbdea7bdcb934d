"""ADePT as published: the epsilon that is claimed, and the one that holds."""

import math

import numpy as np
import pytest
from scipy import special

from modiva.training.textprivacy.adept import DELTA
from modiva.training.textprivacy.adept_published import AdeptPublished
from modiva.training.textprivacy.autoencoder import CLIP_NORM


class Codes:
    """What the bounds and the noise know of an autoencoder."""

    code_size = 256


def deltas(claimed: float, epsilon: float, samples: int = 20_000) -> float:
    """Delta that is needed at `epsilon`, by simulation of the noise on codes that differ most."""
    mechanism = AdeptPublished(claimed, given=Codes())
    noise = mechanism.noise(samples, np.random.default_rng(0))
    scale, shift = 2 * CLIP_NORM / claimed, 2 * CLIP_NORM / math.sqrt(Codes.code_size)
    losses = (np.abs(noise + shift) - np.abs(noise)).sum(axis=1) / scale
    return float(-special.expm1(np.minimum(epsilon - losses, 0)).mean())


@pytest.mark.parametrize(("claimed", "holds"), [(1, 4.3), (5, 31), (10, 80)])
def test_the_epsilon_that_holds_is_that_of_the_design(claimed, holds):
    mechanism = AdeptPublished(claimed, given=Codes())
    assert mechanism.claimed == claimed
    assert holds <= mechanism.proven <= 1.1 * holds
    assert mechanism.proven < math.sqrt(256) * claimed


@pytest.mark.parametrize("claimed", [5, 10])
def test_simulated_noise_breaks_the_claim_and_keeps_what_is_proven(claimed):
    assert deltas(claimed, claimed) > 1000 * DELTA
    assert deltas(claimed, AdeptPublished(claimed, given=Codes()).proven) < DELTA


def test_copies_compose_and_never_beyond_the_pure_bound():
    tiny, ten = AdeptPublished(1e-3, given=Codes()), AdeptPublished(1.0, given=Codes())
    assert tiny.composed(1) <= 16e-3
    assert ten.composed(1) < ten.composed(10) < 10 * ten.composed(1)
