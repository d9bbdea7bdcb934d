"""Who reads the protected data: codes are decoded from their copies."""

import numpy as np
import pytest

from canaries import get_pattern
from modiva.training.textprivacy.madlib import Madlib
from modiva.training.textprivacy.reading import Reader
from modiva.training.textprivacy.tem import Tem

PATTERN = get_pattern("filler1 {digit*4} filler2")


def found(mechanism, copies, runs=60):
    """Return the share of random codes that a reader of so many copies decodes."""
    reader, rng = Reader(mechanism), np.random.default_rng(0)
    hits = 0
    for run in range(runs):
        secret = PATTERN.secret(int(rng.integers(PATTERN.size)))
        rewritten = mechanism.rewrite([PATTERN.fill(secret)] * copies, seed=run)
        hits += reader.decode(PATTERN, rewritten) == secret
    return hits / runs


def test_copies_average_the_noise_out(space):
    mechanism = Tem(4.0, given=space)
    few, many = found(mechanism, 1), found(mechanism, 60)
    assert few < 0.2
    assert many > 0.9


def test_likelihood_reads_what_the_vote_cannot(space):
    """A code that stands in no copy is decoded from the neighbours that stand in its place."""
    mechanism = Tem(1.5, given=space)
    voting = Tem(1.5, given=space)
    voting.log_likelihoods = lambda words: None
    assert found(mechanism, 100) > found(voting, 100) + 0.15


def test_one_copy_is_decoded_as_often_as_the_exact_probability_says(space):
    """Of a single word the likeliest option is right with the mean of the largest likelihoods."""
    mechanism = Tem(3.0, given=space)
    pattern = get_pattern("filler1 {digit}")
    reader = Reader(mechanism)
    hits = 0
    for number in range(10):
        secret = pattern.secret(number)
        for copy in mechanism.rewrite([pattern.fill(secret)] * 300, seed=number):
            hits += reader.decode(pattern, [copy]) == secret
    exact = np.exp(mechanism.log_likelihoods(list("0123456789"))).max(axis=0).sum() / 10
    assert hits / 3000 == pytest.approx(exact, abs=5 * 0.5 / np.sqrt(3000))


def test_without_likelihoods_the_copies_vote(space):
    reader = Reader(Madlib(5.0, given=space))
    copies = ["x 1 2 3 4 y", "x 1 filler7 3 5 y", "x 9 2 3 4 y", "too short", ""]
    assert reader.decode(PATTERN, copies) == ("1", "2", "3", "4")
    assert reader.decode(PATTERN, []) == ("0", "0", "0", "0")


def test_glued_slots_are_read_as_one_word(space):
    reader = Reader(Madlib(5.0, given=space))
    glued = get_pattern("filler1 {digit*4:glued}")
    assert reader.decode(glued, ["a 4711", "b filler2", "c 4711"]) == ("4", "7", "1", "1")
