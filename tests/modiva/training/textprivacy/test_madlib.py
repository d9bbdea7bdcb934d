"""MADLIB: in one dimension its noise is Laplace's, and its bound is reached."""

import numpy as np
from scipy import stats

from modiva.classifiers import WordSpace
from modiva.training.textprivacy.madlib import Madlib
from modiva.training.textprivacy.mechanism import planar

EPSILON = 0.7
LINE = WordSpace(["a", "b", "c", "d"], np.array([[0.0], [1.0], [2.0], [5.0]]))


def chances(word: str) -> np.ndarray:
    """Exact probabilities of the outputs: the noisy point falls into the cell of a word."""
    points = LINE.vectors[:, 0].astype(float)
    edges = np.concatenate([[-np.inf], (points[1:] + points[:-1]) / 2, [np.inf]])
    return np.diff(stats.laplace(points[LINE.places[word]], 1 / EPSILON).cdf(edges))


def test_words_are_drawn_as_the_distribution_of_laplace_says():
    for word in LINE.words:
        drawn = Madlib(EPSILON, given=LINE).rewrite([word] * 20_000, seed=3)
        expected = chances(word)
        found = np.array([drawn.count(output) for output in LINE.words]) / 20_000
        assert np.abs(found - expected).max() < 5 * np.sqrt(0.25 / 20_000)


def test_the_log_ratio_is_exactly_epsilon_times_the_distance_at_the_ends():
    ratios = np.log(chances("b") / chances("c"))
    gap = LINE.distances(["b"])[0, LINE.places["c"]]
    np.testing.assert_allclose([ratios.max(), -ratios.min()], EPSILON * gap, rtol=1e-6)
    np.testing.assert_allclose(Madlib(EPSILON, given=LINE).widest(["b", "c"]), EPSILON * gap)


def test_noise_has_a_length_of_gamma_and_no_direction():
    noise = planar(20_000, 5, 2.0, np.random.default_rng(0))
    lengths = np.linalg.norm(noise, axis=1)
    assert stats.kstest(lengths, stats.gamma(5, scale=0.5).cdf).pvalue > 1e-4
    assert np.abs((noise / lengths[:, None]).mean(axis=0)).max() < 0.02
