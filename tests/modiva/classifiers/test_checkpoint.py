"""A checkpoint stands alone, holds no pickle, and is there whole or not at all."""

import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertModel, pipeline

from modiva.classifiers import TargetSpec, load
from modiva.classifiers.checkpoint import save
from modiva.errors import ModivaError


def test_what_is_loaded_is_what_was_saved(spec, make, tmp_path):
    target = make(spec, 3)
    folder = save(target, tmp_path / "target")
    again = load(folder)
    assert not again.model.training
    assert again.model.config.id2label == target.model.config.id2label
    texts = ["call 1 2 3 4", "What's the weather?"]
    inputs = target.tokenizer(texts, padding=True, return_tensors="pt")
    for name, value in again.tokenizer(texts, padding=True, return_tensors="pt").items():
        assert torch.equal(value, inputs[name])
    target.model.eval()
    assert torch.equal(again.model(**inputs).logits, target.model(**inputs).logits)
    assert all(weight.data_ptr() % 64 == 0 for weight in again.model.parameters())
    for name, value in target.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    assert [p.requires_grad for p in again.model.parameters()] == [
        p.requires_grad for p in target.model.parameters()
    ]
    suffixes = {file.suffix for file in folder.iterdir()}
    assert suffixes == {".json", ".safetensors"}


def test_a_pipeline_reads_the_folder(spec, make, tmp_path):
    target = make(spec)
    folder = save(target, tmp_path / "target")
    classify = pipeline("text-classification", str(folder), device="cpu")
    answers = classify(["call 1 2 3 4", "lights on"], top_k=None)
    inputs = target.tokenizer(["call 1 2 3 4"], return_tensors="pt")
    expected = target.model(**inputs).logits.softmax(-1)[0]
    for answer in answers[0]:
        label = target.model.config.label2id[answer["label"]]
        assert answer["score"] == pytest.approx(expected[label].item(), abs=1e-5)


@pytest.mark.parametrize("size", [100, 2_000])  # no room for the configuration; for the weights
def test_a_save_without_space_leaves_nothing(size, spec, make, tmp_path, full_disk):
    target = make(spec)
    with full_disk(size), pytest.raises(OSError, match="too large"):
        save(target, tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved(make, tmp_path):
    return save(make(TargetSpec("cnn", 4, 4)), tmp_path / "target")


def refuse(folder, message):
    with pytest.raises(ModivaError, match=message):
        load(folder)


def test_pickled_weights_are_refused(saved):
    weights = saved / "model.safetensors"
    model = AutoModelForSequenceClassification.from_pretrained(saved)
    torch.save(model.state_dict(), saved / "pytorch_model.bin")
    weights.unlink()
    refuse(saved, "pickled weights")
    (saved / "pytorch_model.bin").unlink()
    refuse(saved, "no weights")


def test_a_missing_tokenizer_is_refused(saved):
    (saved / "tokenizer.json").unlink()
    refuse(saved, "no tokenizer")


def test_broken_files_are_refused(saved, tmp_path):
    refuse(tmp_path / "nowhere", "no folder")
    refuse(saved / "config.json", "is a file")
    (saved / "model.safetensors").write_bytes(b"not weights")
    refuse(saved, "cannot be loaded")
    (saved / "config.json").write_text("{")
    refuse(saved, "config.json is not JSON")


def test_a_base_encoder_is_no_classifier(saved):
    tiny = BertConfig(
        vocab_size=30,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
    )
    BertModel(tiny).save_pretrained(saved)
    refuse(saved, "not a sequence classifier but BertModel: fine-tune it first")


def test_a_head_without_weights_or_with_one_output_is_no_classifier(saved):
    from safetensors.torch import load_file, save_file

    file = saved / "model.safetensors"
    tensors = load_file(file)
    save_file({k: v for k, v in tensors.items() if "head" not in k}, file, {"format": "pt"})
    refuse(saved, "lacks weights .head.bias")
    config = json.loads((saved / "config.json").read_text())
    config |= {"id2label": {"0": "score"}, "label2id": {"score": 0}}
    (saved / "config.json").write_text(json.dumps(config))
    refuse(saved, "1 output")


def test_an_unknown_pooling_is_refused(make, tmp_path):
    folder = save(make(TargetSpec("lstm", 4, 4)), tmp_path / "target")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pooling": "sum"}))
    refuse(folder, "unknown pooling 'sum'")
