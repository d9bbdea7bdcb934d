import pytest
import torch

from modiva.errors import ModivaError
from modiva.training.batches import (
    chunks_of_tokens,
    encode_split,
    encode_splits,
    length_batches,
    majority_accuracy,
)
from modiva.training.config import Splits

from .conftest import make_classifier


def test_an_epoch_holds_every_sentence_once_in_near_equal_batches():
    lengths = torch.randint(1, 40, (101,))
    generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    batches = length_batches(lengths, 32, *generators)
    assert sorted(torch.cat(batches).tolist()) == list(range(101))
    assert sorted(len(batch) for batch in batches) == [25, 25, 25, 26]


def test_batches_are_of_like_length():
    lengths = torch.randint(1, 40, (2000,), generator=torch.Generator().manual_seed(0))
    generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    batches = length_batches(lengths, 32, *generators)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    assert padded < 1.5 * int(lengths.sum())


def test_equal_sentences_are_spread_over_batches():
    # A canary repeated 100 times must not fill whole batches.
    lengths = torch.randint(3, 12, (1500,), generator=torch.Generator().manual_seed(0))
    lengths[:100] = 5
    generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    counts = [int((batch < 100).sum()) for batch in length_batches(lengths, 32, *generators)]
    assert max(counts) < 20


def test_models_of_one_order_seed_meet_in_length():
    lengths = torch.randint(1, 30, (640,), generator=torch.Generator().manual_seed(0))

    def epoch(seed):
        order = torch.Generator().manual_seed(7)
        return length_batches(lengths, 32, torch.Generator().manual_seed(seed), order)

    for one, other in zip(epoch(0), epoch(1), strict=True):
        assert abs(lengths[one].float().mean() - lengths[other].float().mean()) < 3
        assert sorted(one.tolist()) != sorted(other.tolist())


def test_taking_a_batch_pads_to_its_own_longest_sentence(splits):
    classifier = make_classifier(splits)
    split = encode_split(classifier, [("play the song", "play"), ("rain", "weather")])
    ids, mask, labels = split.take(torch.tensor([1, 0]))
    assert ids.shape == (2, 3)
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert labels.tolist() == [classifier.model.config.label2id[i] for i in ("weather", "play")]
    assert split.take(torch.tensor([1]))[0].shape == (1, 1)


def test_chunks_hold_every_index_and_keep_to_the_bound():
    lengths = torch.randint(1, 20, (200,))
    indices = torch.randperm(200)[:77]
    parts = chunks_of_tokens(lengths, indices, 64)
    assert sorted(torch.cat(parts).tolist()) == sorted(indices.tolist())
    assert all(len(part) * int(lengths[part].max()) <= 64 for part in parts)
    assert chunks_of_tokens(lengths, indices[:0], 64) == []
    assert len(chunks_of_tokens(torch.tensor([500]), torch.tensor([0]), 64)) == 1


def test_the_majority_is_that_of_training_measured_on_test():
    train = [("a", "x"), ("b", "x"), ("c", "y")]
    assert majority_accuracy(train, [("d", "y"), ("e", "y"), ("f", "x")]) == pytest.approx(1 / 3)
    assert majority_accuracy(train, []) is None


def test_an_unknown_intent_is_named(splits):
    classifier = make_classifier(splits)
    with pytest.raises(ModivaError, match="dance"):
        encode_splits(classifier, splits._replace(test=[("a waltz", "dance")]))
    with pytest.raises(ModivaError, match="training split is empty"):
        encode_splits(classifier, Splits([], [], []))
