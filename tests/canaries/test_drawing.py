"""Draws are exact: uniform, without replacement, and in spaces beyond 64 bits."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from canaries.drawing import draw_distinct, uniform_below


@given(bound=st.integers(1, 10**30), seed=st.integers(0, 2**32))
def test_a_draw_lies_below_its_bound(bound: int, seed: int) -> None:
    assert 0 <= uniform_below(np.random.default_rng(seed), bound) < bound


@pytest.mark.parametrize("bound", [3, 10, 12, 256, 257, 1000])
def test_single_draws_are_uniform(bound: int) -> None:
    rng = np.random.default_rng(7)
    counts = Counter(uniform_below(rng, bound) for _ in range(20 * bound + 2000))
    assert chisquare([counts[value] for value in range(bound)]).pvalue > 0.001


def test_draws_from_a_huge_space_are_uniform_down_to_their_lowest_digits() -> None:
    # 5000^6 passphrases need 74 bits: a float or a 64-bit generator would miss the low ones.
    rng, bound = np.random.default_rng(8), 5000**6
    drawn = draw_distinct(rng, bound, 5000)
    assert max(drawn) > 2**64
    assert chisquare(np.bincount([value % 10 for value in drawn])).pvalue > 0.001
    assert chisquare(np.bincount([value * 10 // bound for value in drawn])).pvalue > 0.001


@given(
    bound=st.integers(1, 200),
    data=st.data(),
    seed=st.integers(0, 2**32),
)
def test_draws_are_distinct_and_never_excluded(bound: int, data: st.DataObject, seed: int) -> None:
    exclude = data.draw(st.sets(st.integers(0, bound - 1)))
    n = data.draw(st.integers(0, bound - len(exclude)))
    drawn = draw_distinct(np.random.default_rng(seed), bound, n, exclude)
    assert len(set(drawn)) == len(drawn) == n
    assert not exclude & set(drawn)
    assert all(0 <= value < bound for value in drawn)


@given(bound=st.integers(1, 10**12), n=st.integers(0, 20), seed=st.integers(0, 2**32))
def test_a_shorter_draw_is_the_beginning_of_a_longer_one(bound: int, n: int, seed: int) -> None:
    n = min(n, bound)
    longer = draw_distinct(np.random.default_rng(seed), bound, n)
    assert draw_distinct(np.random.default_rng(seed), bound, n // 2) == longer[: n // 2]


def test_every_ordered_choice_is_equally_likely() -> None:
    # numpy.unique(...)[:n], a known mistake, would keep the smallest.
    rng = np.random.default_rng(9)
    counts = Counter(tuple(draw_distinct(rng, 6, 3, {2})) for _ in range(12_000))
    choices = list(itertools.permutations([0, 1, 3, 4, 5], 3))
    assert set(counts) <= set(choices)
    assert chisquare([counts[choice] for choice in choices]).pvalue > 0.001


def test_more_than_there_is_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="4 distinct draws were asked of 3"):
        draw_distinct(np.random.default_rng(0), 5, 4, {0, 1})
