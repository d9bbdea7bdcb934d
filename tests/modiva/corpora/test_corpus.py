"""Subsets, parts and fingerprints of a corpus."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modiva.corpora import Corpus
from modiva.corpora.corpus import Example
from modiva.errors import ModivaError


def corpus(sizes: tuple[int, ...] = (60, 30, 9, 1)) -> Corpus:
    train = [Example(f"s {k} {i}", f"i{k}") for k, size in enumerate(sizes) for i in range(size)]
    held = tuple(Example(f"held {k}", f"i{k}") for k in range(len(sizes)))
    return Corpus("toy", tuple(train), held, held)


@given(seed=st.integers(0, 99), size=st.integers(4, 100))
def test_a_subset_is_drawn_from_train_and_keeps_every_tested_intent(seed: int, size: int) -> None:
    whole = corpus()
    part = whole.subset(size, seed=seed)
    assert len(part.train) == size
    assert set(part.train) <= set(whole.train)
    assert len(set(part.train)) == size
    assert {e.intent for e in part.train} == set(whole.intents)
    assert (part.valid, part.test) == (whole.valid, whole.test)
    assert part == whole.subset(size, seed=seed)


def test_a_subset_drops_no_class_that_is_only_trained_by_need() -> None:
    only_first = replace(corpus(), valid=(), test=(Example("held", "i0"),))
    assert len(only_first.subset(1, seed=0).train) == 1


@pytest.mark.parametrize("size", [-1, 0, 3, 101])
def test_a_subset_of_impossible_size_names_the_bound(size: int) -> None:
    with pytest.raises(ModivaError, match=r"4 or more|100 or fewer"):
        corpus().subset(size, seed=0)


def test_subsets_are_uniform_beyond_the_kept_intents() -> None:
    counts = Counter(e for seed in range(400) for e in corpus((50, 50)).subset(20, seed=seed).train)
    # Each sentence is in a subset with probability about 0.2: 80 of 400, standard deviation 8.
    assert min(counts.values()) > 80 - 5 * 8
    assert max(counts.values()) < 80 + 5 * 8


def test_the_fingerprint_is_of_the_content_alone() -> None:
    whole = corpus()
    assert replace(whole, name="other", note="x").fingerprint == whole.fingerprint
    moved = replace(whole, train=whole.train[:-1], valid=(whole.train[-1], *whole.valid))
    assert moved.fingerprint != whole.fingerprint
    joined = Corpus("a", (Example("a b", "c"),), (), ())
    assert joined.fingerprint != Corpus("a", (Example("a", "b c"),), (), ()).fingerprint


def test_the_vocabulary_is_that_of_train_by_frequency() -> None:
    data = Corpus("a", (Example("b a a", "x"), Example("c b a", "y")), (), (Example("z", "x"),))
    assert data.vocabulary() == ("a", "b", "c")
    assert data.vocabulary(min_count=2) == ("a", "b")
