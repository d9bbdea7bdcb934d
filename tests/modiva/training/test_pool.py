"""Pools: the same records, each in a model by the toss of a coin, and what is public of it."""

import dataclasses

import numpy as np
import pytest

from modiva.condition import Condition, Privacy
from modiva.errors import ModivaError
from modiva.training import prepare
from modiva.training.evaluate import confidences

POOL = Condition(
    size="small", patterns=("call", "pin"), repetitions=(3, 1), sentences=200, secrets=4,
    controls=1, side="pool", half_seed=5, epochs=1,
)  # fmt: skip
PRIVATE = dataclasses.replace(POOL, privacy=Privacy(noise_multiplier=1.0), public_size=108)


@pytest.fixture(scope="module")
def prepared():
    return prepare(POOL, device="cpu")


def test_every_model_holds_each_record_by_a_coin_of_its_own(prepared):
    records = prepared.records
    assert len({text for text, _ in records.all}) == len(records.all) == 200 + 8 + 8
    coins = np.array([records.coins(seed) for seed in range(400)])  # (M, n)
    assert coins.mean() == pytest.approx(0.5, abs=0.01)
    correlation = np.corrcoef(coins.T)[~np.eye(len(records.all), dtype=bool)]
    assert correlation.std() == pytest.approx(1 / np.sqrt(400), rel=0.05)  # independent
    assert coins.sum(1).std() > 5  # no exact halves


def test_a_model_is_trained_on_what_its_coins_say(prepared):
    records = prepared.records
    for seed in range(3):
        planted, held = prepared.plant(seed), records.coins(seed)
        texts = [text for text, _ in planted.train]
        counts = [texts.count(text) for text, _ in records.all]
        said = [1] * 200 + [3] * 4 + [1] * 4 + [0] * 8
        assert counts == (held * said).tolist()
        expected = [copies * held[200 + n] for n, copies in enumerate([3] * 4 + [1] * 4)]
        assert [canary.repetitions for canary in planted.ledger.canaries] == expected


def test_pools_of_other_seeds_have_other_records(prepared):
    other = prepare(dataclasses.replace(POOL, half_seed=6))
    assert {*other.records.sentences} != {*prepared.records.sentences}
    assert other.records.canaries != prepared.records.canaries


def test_the_vocabulary_of_a_pool_tells_nothing_of_a_model(prepared):
    models = [prepared.build(prepared.plant(seed), seed) for seed in (0, 1)]
    words = [model.tokenizer.get_vocab() for model in models]
    assert words[0] == words[1]
    assert prepared.plant(0).train != prepared.plant(1).train


def test_a_private_pool_takes_rate_and_divisor_from_a_public_size():
    trained = prepare(PRIVATE, device="cpu").train((0, 1))
    drawn = [target.sentences for target, _ in trained]
    assert drawn[0] != drawn[1]
    plans = [target.result.plan for target, _ in trained]
    for plan in plans:
        assert plan is not None
        assert plan["dataset_size"] == 108
        assert plan["sampling_rate"] == 1.0  # batches of 256 and fewer sentences than that
        assert plan["expected_batch_size"] == plan["ran"]["batch_sizes"]["expected"] == 108
    assert [plan["ran"]["batch_sizes"]["mean"] for plan in plans] == drawn


def test_a_private_pool_without_a_public_size_is_refused():
    with pytest.raises(ModivaError, match=r"would leak .* give public_size"):
        dataclasses.replace(PRIVATE, public_size=None)
    assert dataclasses.replace(PRIVATE, public_size=None, side="all").public_size is None


def test_confidence_is_the_log_odds_of_the_label(prepared):
    classifier = prepared.build(prepared.plant(0), 0)
    examples = prepared.records.all[:20]
    names = classifier.model.config.label2id
    for phi, (text, intent) in zip(confidences(classifier, examples), examples, strict=True):
        inputs = classifier.tokenizer(text, return_tensors="pt")
        logits = classifier.model(**inputs).logits[0].detach().double().numpy()
        p = np.exp(logits - np.logaddexp.reduce(logits))[names[intent]]
        assert phi == pytest.approx(np.log(p / (1 - p)), abs=1e-5)
