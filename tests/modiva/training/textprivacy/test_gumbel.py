"""Truncated Gumbel noise: exact probabilities, and the counterexample to the claimed bound."""

import math

import numpy as np
import pytest

from canaries import get_pattern
from modiva.classifiers import WordSpace
from modiva.errors import ModivaError
from modiva.training.textprivacy.gumbel import Gumbel


def crowd(size: int) -> WordSpace:
    """A crowd of words at mutual distance 1, a word at 1 from one of them, and one beyond it.

    The last word is the second neighbour of the one before it, and the last of the crowd's.
    """
    vectors = np.zeros((size, size))
    vectors[: size - 2, : size - 2] = np.eye(size - 2) / math.sqrt(2)
    vectors[size - 2 :] = vectors[0]
    vectors[size - 2 :, size - 2] = 1.0
    vectors[size - 1, size - 1] = 1.0
    return WordSpace([f"w{number}" for number in range(size)], vectors)


def least_epsilon(space: WordSpace) -> float:
    return (3 + 2 * (1 + math.log(len(space)))) / space.extremes[0]


@pytest.mark.parametrize(("size", "times"), [(20, 2.0), (40, 4.0)])
def test_the_claimed_bound_does_not_hold(size, times):
    space = crowd(size)
    epsilon = 1.05 * least_epsilon(space)
    mechanism = Gumbel(epsilon, given=space)
    logs = mechanism.log_likelihoods(space.words)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)
    first, second = 0, size - 2
    gap = space.distances([space.words[first]])[0, second]
    ratio = np.abs(logs[first] - logs[second]).max()
    assert ratio > times * epsilon * gap


def test_nothing_is_promised(space):
    mechanism = Gumbel(400.0, given=space)
    assert mechanism.proven is None
    assert mechanism.claimed == 400.0
    assert mechanism.secret_epsilon(get_pattern("filler1 {digit*4}")) is None


def test_words_are_drawn_as_often_as_their_probability_says(space):
    mechanism = Gumbel(2 * least_epsilon(space), given=space)
    drawn = mechanism.rewrite(["3"] * 20_000, seed=1)
    found = np.array([drawn.count(word) for word in space.words]) / 20_000
    expected = np.exp(mechanism.log_likelihoods(["3"])[0])
    assert np.abs(found - expected).max() < 5 * math.sqrt(0.25 / 20_000)


def test_an_epsilon_that_is_too_small_for_the_space_is_refused_with_the_least_one(space):
    floor = least_epsilon(space)
    with pytest.raises(ModivaError, match=f"must be above {floor:.4g}"):
        Gumbel(0.9 * floor, given=space).rewrite(["3"], seed=0)
