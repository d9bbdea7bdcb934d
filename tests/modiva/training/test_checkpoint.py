import json

import pytest
import torch

from modiva.classifiers import load
from modiva.condition import Condition
from modiva.corpora import Corpus
from modiva.corpora.corpus import Example
from modiva.errors import ModivaError
from modiva.training import prepare, save_checkpoint

from .conftest import make_splits

CONDITION = Condition(
    size="small", patterns=("pin",), repetitions=(5,), label="play", epochs=1, sentences=30
)


@pytest.fixture(scope="module")
def made():
    parts = (tuple(Example(*example) for example in split) for split in make_splits(40))
    prepared = prepare(CONDITION, corpus=Corpus("toy", *parts), device="cpu")
    ((target, ledger),) = prepared.train([3])
    return prepared, target, ledger


def test_a_checkpoint_says_how_to_make_it_again_and_holds_no_secret(made, tmp_path):
    prepared, target, ledger = made
    folder = save_checkpoint(tmp_path / "model", target, prepared=prepared, command="modiva train")
    text = (folder / "training.json").read_text()
    training = json.loads(text)
    assert training["condition"] == CONDITION.as_dict()
    assert training["corpus"] == {"name": "toy", "fingerprint": prepared.corpus.fingerprint}
    assert training["target"]["architecture"] == "cnn"
    assert training["config"]["epochs"] == 1
    assert training["seed"] == 3
    assert training["sentences"]["train"] == 30 + 5
    assert training["epsilon"] is None
    assert training["plan"] is None
    assert training["test_accuracy"] == target.result.test_accuracy
    assert training["planting"]["patterns"] == ["my pin code is {digit*4}"]
    assert training["planting"]["repetitions"] == [5]
    assert set(training["versions"]) >= {"modiva", "torch", "transformers"}
    for canary in ledger.canaries:
        for secret in (canary.secret, *canary.controls):
            assert " ".join(secret) not in text
            assert json.dumps(list(secret)) not in json.dumps(training)


def test_a_checkpoint_reads_back_as_the_same_classifier(made, tmp_path):
    prepared, target, _ = made
    again = load(save_checkpoint(tmp_path / "model", target, prepared=prepared))
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.equal(again.model(ids).logits, target.classifier.model(ids).logits)


@pytest.mark.parametrize("size", [200, 10_000])  # not even the configuration; not the weights
def test_a_checkpoint_is_written_whole_or_not_at_all(size, made, tmp_path, full_disk):
    prepared, target, _ = made
    with full_disk(size), pytest.raises(OSError, match="too large"):
        save_checkpoint(tmp_path / "model", target, prepared=prepared)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_not_overwritten(made, tmp_path):
    prepared, target, _ = made
    (tmp_path / "model").mkdir()
    with pytest.raises(ModivaError, match="exists"):
        save_checkpoint(tmp_path / "model", target, prepared=prepared)
