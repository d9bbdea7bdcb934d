"""TEM: its log ratios are bounded by distance and by truncation, exactly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from canaries import get_pattern
from modiva.classifiers import WordSpace
from modiva.training.textprivacy.tem import Tem


@given(
    seed=st.integers(0, 10_000),
    words=st.integers(3, 9),
    dim=st.integers(1, 3),
    epsilon=st.floats(0.1, 40),
)
def test_log_ratios_are_at_most_epsilon_times_the_truncated_distance(seed, words, dim, epsilon):
    vectors = np.random.default_rng(seed).normal(size=(words, dim))
    space = WordSpace([f"w{number}" for number in range(words)], vectors)
    mechanism = Tem(epsilon, given=space)
    logs = mechanism.log_likelihoods(space.words)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)
    ratios = np.abs(logs[:, None] - logs[None]).max(axis=2)
    gaps = np.minimum(space.distances(space.words), mechanism.gamma)
    assert (ratios <= epsilon * gaps + 1e-6).all()
    assert ratios.max() == mechanism.widest(space.words)


def test_words_are_drawn_as_often_as_their_probability_says(space):
    mechanism = Tem(2.0, given=space)
    drawn = mechanism.rewrite(["3"] * 40_000, seed=1)
    found = np.array([drawn.count(word) for word in space.words])
    expected = 40_000 * np.exp(mechanism.log_likelihoods(["3"])[0])
    assert (((found - expected) ** 2 / expected).sum() - 69) / np.sqrt(2 * 69) < 5  # chi square


def test_the_epsilon_of_a_secret_is_the_exact_one_of_its_words_and_copies(space):
    mechanism = Tem(3.0, given=space)
    pattern = get_pattern("filler1 filler2 {digit*4}")
    logs = mechanism.log_likelihoods(list("0123456789"))
    one = max(np.abs(a - b).max() for a in logs for b in logs)
    assert np.isclose(mechanism.secret_epsilon(pattern), 4 * one)
    assert np.isclose(mechanism.secret_epsilon(pattern, copies=10), 40 * one)
    widest = max(
        space.distances([a])[0, space.places[b]] for a in "0123456789" for b in "0123456789"
    )
    assert one <= 3.0 * min(widest, mechanism.gamma)


def test_a_word_outside_the_space_is_protected_as_its_vector_says(space):
    """Glued digits are no words of the space: all of them have its mean vector, and are alike."""
    assert Tem(3.0, given=space).secret_epsilon(get_pattern("filler1 {digit*2:glued}")) == 0
