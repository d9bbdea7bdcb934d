import json

import pytest
import torch

from canaries.patterns import get_pattern
from canaries.planting import Planting, plant
from modiva.classifiers import build, load, parse_target
from modiva.corpora import Corpus, Example
from modiva.errors import ModivaError
from modiva.training import Splits, TrainConfig, save_checkpoint, train

from .conftest import WORDS, make_splits


@pytest.fixture
def made():
    splits = make_splits(40)
    parts = (tuple(Example(*example) for example in split) for split in splits)
    corpus = Corpus("toy", *parts)
    planting = Planting(get_pattern("pin"), 5, "play")
    planted = plant(splits.train, splits.valid, [planting], seed=3)
    spec = parse_target("cnn", "small")
    texts = [text for text, _ in planted.train]
    classifier = build(spec, texts=texts, intents=sorted(WORDS), seed=3)
    config = TrainConfig(epochs=1, seed=3, device="cpu")
    result = train(classifier, Splits(planted.train, planted.valid, splits.test), config, False)
    facts = {"spec": spec, "config": config, "result": result, "corpus": corpus}
    return classifier, planting, planted, facts


def test_a_checkpoint_says_how_to_make_it_again_and_holds_no_secret(made, tmp_path):
    classifier, planting, planted, facts = made
    folder = save_checkpoint(
        tmp_path / "model", classifier, **facts, planting=[planting], command=["modiva", "train"]
    )
    text = (folder / "training.json").read_text()
    training = json.loads(text)
    assert training["corpus"] == {"name": "toy", "fingerprint": facts["corpus"].fingerprint}
    assert training["target"]["architecture"] == "cnn"
    assert training["config"]["epochs"] == 1
    assert training["seed"] == 3
    assert training["epsilon"] is None
    assert training["plan"] is None
    assert training["test_accuracy"] == facts["result"].test_accuracy
    assert training["planting"][0]["template"] == "my pin code is {digit*4}"
    assert set(training["versions"]) >= {"modiva", "torch", "transformers"}
    for canary in planted.ledger.canaries:
        for secret in (canary.secret, *canary.controls):
            assert " ".join(secret) not in text
            assert json.dumps(list(secret)) not in json.dumps(training)


def test_a_checkpoint_reads_back_as_the_same_classifier(made, tmp_path):
    classifier, _, _, facts = made
    folder = save_checkpoint(tmp_path / "model", classifier, **facts)
    again = load(folder)
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.equal(again.model(ids).logits, classifier.model(ids).logits)


def test_a_checkpoint_is_written_whole_or_not_at_all(made, tmp_path, monkeypatch):
    classifier, _, _, facts = made

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("modiva.training.checkpoint.write_json", full)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(tmp_path / "model", classifier, **facts)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_not_overwritten(made, tmp_path):
    classifier, _, _, facts = made
    (tmp_path / "model").mkdir()
    with pytest.raises(ModivaError, match="exists"):
        save_checkpoint(tmp_path / "model", classifier, **facts)
