"""Splits that a corpus does not bring: in proportion, disjoint, and the same for the same seed."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modiva.corpora.splits import complete
from modiva.errors import ModivaError


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=8).filter(lambda s: sum(s) >= 40),
    seed=st.integers(0, 50),
)
def test_held_out_splits_are_stratified_and_leave_every_intent_to_train(
    sizes: list[int], seed: int
) -> None:
    train = [(f"s {k} {i}", f"i{k}") for k, size in enumerate(sizes) for i in range(size)]
    made = complete({"train": train}, seed=seed, name="toy")
    assert sorted(pair for pairs in made.values() for pair in pairs) == sorted(train)
    assert {intent for _, intent in made["train"]} == {intent for _, intent in train}
    tested = Counter(intent for _, intent in made["test"])
    for k, size in enumerate(sizes):
        assert abs(tested[f"i{k}"] - 0.15 * size) <= 3
    assert complete({"train": train}, seed=seed, name="toy") == made


def test_equal_sentences_stay_in_one_split() -> None:
    train = [(f"s {i % 50}", f"i{i % 50 % 2}") for i in range(200)]
    made = complete({"train": train}, seed=0, name="toy")
    texts = [{text for text, _ in pairs} for pairs in made.values()]
    assert sum(len(t) for t in texts) == 50


def test_given_splits_are_left_alone() -> None:
    train = [(f"s {i}", f"i{i % 2}") for i in range(100)]
    test = [("s 1", "i1")]
    made = complete({"train": train, "test": test}, seed=0, name="toy")
    assert made["test"] == test
    assert len(made["valid"]) == pytest.approx(10, abs=2)
    assert len(made["train"]) + len(made["valid"]) == 100


def test_too_few_sentences_to_hold_out_are_refused() -> None:
    with pytest.raises(ModivaError, match="20 or more"):
        complete({"train": [("a", "x"), ("b", "y")]}, seed=0, name="toy")
