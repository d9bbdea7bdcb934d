"""Elliptical noise: its bound holds in its own metric and fails in the Euclidean one."""

import numpy as np
from scipy import stats

from modiva.classifiers import WordSpace
from modiva.training.textprivacy.mahalanobis import LAMBDA, Mahalanobis

# Spread along the first axis; two words differ along the second one.
WORDS = ["left", "right", "low", "high", "far"]
PLANE = WordSpace(WORDS, np.array([[-400.0, 0], [400, 0], [0, 0], [0, 1], [0, 30]]))
EPSILON = PLANE.unit  # 1 per unit of the vectors as they were given


def chances(mechanism: Mahalanobis, word: str) -> np.ndarray:
    """Probabilities of the outputs, by integration of the density over a grid."""
    across, along = np.linspace(-40, 40, 801), np.linspace(-30, 60, 901)
    points = np.stack(np.meshgrid(across, along), axis=-1).reshape(-1, 2) / PLANE.unit
    shifts = mechanism.metric(points - PLANE.vectors[PLANE.places[word]].astype(float))
    density = np.exp(-EPSILON * np.linalg.norm(shifts, axis=1))
    outputs = PLANE.nearest(points.astype(np.float32))
    return np.bincount(outputs, density, minlength=len(WORDS)) / density.sum()


def test_the_bound_holds_in_the_own_metric_and_fails_in_the_euclidean():
    mechanism = Mahalanobis(EPSILON, given=PLANE)
    low, high = chances(mechanism, "low"), chances(mechanism, "high")
    seen = low > 0
    ratio = np.abs(np.log(low[seen] / high[seen])).max()
    gap = PLANE.distances(["low"])[0, PLANE.places["high"]]
    assert 1.05 * EPSILON * gap < ratio <= mechanism.widest(["low", "high"]) * 1.001


def test_words_are_drawn_as_the_density_says():
    mechanism = Mahalanobis(EPSILON, given=PLANE)
    drawn = mechanism.rewrite(["low"] * 20_000, seed=0)
    found = np.array([drawn.count(word) for word in WORDS]) / 20_000
    assert np.abs(found - chances(mechanism, "low")).max() < 0.015


def test_noise_is_of_gamma_length_in_the_own_metric_and_longer_where_words_spread():
    mechanism = Mahalanobis(EPSILON, given=PLANE)
    noise = mechanism.noise(20_000, np.random.default_rng(0))
    lengths = np.linalg.norm(mechanism.metric(noise), axis=1)
    assert stats.kstest(lengths, stats.gamma(2, scale=1 / EPSILON).cdf).pvalue > 1e-4
    spread = noise.std(axis=0) ** 2
    covariance = np.cov(PLANE.vectors, rowvar=False)
    wanted = LAMBDA * np.diag(covariance) / np.diag(covariance).mean() + 1 - LAMBDA
    np.testing.assert_allclose(spread[0] / spread[1], wanted[0] / wanted[1], rtol=0.1)
