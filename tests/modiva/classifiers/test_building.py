"""A classifier is a function of its spec, its words, its intents and one seed."""

import logging

import pytest
import torch

from modiva.classifiers import TargetSpec, build, parse_target
from modiva.classifiers.cnn import CnnClassifier
from modiva.classifiers.registry import register_architecture
from modiva.classifiers.spec import target_names
from modiva.errors import ModivaError


def weights(classifier):
    return torch.cat([p.detach().flatten() for p in classifier.model.parameters()])


def test_one_seed_gives_one_set_of_weights_whatever_was_drawn_before(spec, make):
    torch.manual_seed(1)
    first = weights(make(spec, 7))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(weights(make(spec, 7)), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(weights(make(spec, 8)), first)


def test_labels_are_the_distinct_intents_in_alphabetical_order():
    target = build(parse_target("cnn", "small"), texts=["x"], intents=["b", "a", "b", "c"])
    assert target.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert target.model.config.label2id == {"a": 0, "b": 1, "c": 2}
    with pytest.raises(ModivaError, match="at least 2 intents"):
        build(parse_target("cnn"), texts=["x"], intents=["a", "a"])


def test_padding_has_the_zero_vector_and_frozen_embeddings_get_no_gradient(spec, make):
    target = make(spec)
    assert target.model.get_input_embeddings().weight[0].count_nonzero() == 0
    frozen = build(
        TargetSpec("lstm", 4, 4, freeze_embeddings=True), texts=["a b"], intents=["x", "y"]
    )
    names = [n for n, p in frozen.model.named_parameters() if not p.requires_grad]
    assert names == ["embedding.words.weight"]


def test_names_give_specs():
    assert parse_target("cnn") == TargetSpec("cnn", 100, 100)
    assert parse_target("lstm", "small") == TargetSpec("lstm", 32, 32)
    assert parse_target("lstm-char", "small") == TargetSpec("lstm", 32, 32, char_embeddings=True)
    assert parse_target("minilm").head_dropout == 0.1
    assert parse_target("owner/model").architecture == "owner/model"


@pytest.mark.parametrize("name", ["gpt", "cnn-char", "", "here/nothing", "../x", "a/b/c"])
def test_an_unknown_name_is_answered_with_the_names(name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModivaError) as error:
        parse_target(name)
    assert all(known in str(error.value) for known in target_names())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0: must be 1 or more"),
        ({"embedding_dropout": 1.0}, r"in \[0, 1\)"),
        ({"pooling": "mean"}, "max, last"),
        ({"architecture": "transformer", "hidden_size": 5}, "even"),
        ({"architecture": "minilm", "char_embeddings": True}, "own pretrained inputs"),
    ],
)
def test_a_spec_out_of_range_is_refused(options, message):
    with pytest.raises(ModivaError, match=message):
        TargetSpec(**{"architecture": "lstm", **options})


def glove(tmp_path, text):
    path = tmp_path / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    return TargetSpec("lstm", embedding_dim=2, hidden_size=4, word_vectors=str(path))


@pytest.mark.parametrize("header", ["", "3 2\n"])
def test_word_vectors_fill_the_words_that_the_file_has(tmp_path, caplog, header):
    spec = glove(tmp_path, header + "call 1 2\nword with spaces 3 4\nnow -0.5 1e-1\n")
    with caplog.at_level(logging.INFO):
        target = build(spec, texts=["call me now"], intents=["a", "b"])
    rows = target.model.get_input_embeddings().weight.detach()
    ids = target.tokenizer.convert_tokens_to_ids(["call", "now", "me"])
    assert rows[ids[0]].tolist() == [1, 2]
    assert rows[ids[1]].tolist() == pytest.approx([-0.5, 0.1])
    without = build(TargetSpec("lstm", 2, 4), texts=["call me now"], intents=["a", "b"])
    assert torch.equal(rows[ids[2]], without.model.get_input_embeddings().weight[ids[2]])
    assert "cover 2 of 5 words" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("call 1 2 3\n", "line 1: vectors of 3 numbers, but .* have 2"),
        ("5 3\n", "vectors of 3 numbers"),
        ("other 1 2\n", "none of the"),
        ("", "none of the"),
        ("x 1 2\ncall 1 two\n", "line 2"),
        ("x 1 2\ncall 1 nan\n", "line 2"),
    ],
)
def test_unusable_word_vectors_are_refused(tmp_path, text, message):
    with pytest.raises(ModivaError, match=message):
        build(glove(tmp_path, text), texts=["call me now"], intents=["a", "b"])


def test_word_vectors_that_are_not_text_or_not_there(tmp_path):
    spec = glove(tmp_path, "")
    (tmp_path / "vectors.txt").write_bytes(b"call \xff\xfe 2\n")
    with pytest.raises(ModivaError, match="UTF-8"):
        build(spec, texts=["call"], intents=["a", "b"])
    (tmp_path / "vectors.txt").unlink()
    with pytest.raises(FileNotFoundError):
        build(spec, texts=["call"], intents=["a", "b"])


def test_a_name_is_of_one_architecture() -> None:
    with pytest.raises(ModivaError, match="registered already"):
        register_architecture("lstm", CnnClassifier)
    with pytest.raises(ModivaError, match="'modiva-wide'"):
        register_architecture("wide", CnnClassifier)
    register_architecture("cnn", CnnClassifier)  # the same again changes nothing
