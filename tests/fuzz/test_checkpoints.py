"""Checkpoints that are damaged: own architectures and those of transformers."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from .mutations import byte_strings, json_texts
from .oracle import contents, empty_folder, fuzzed, modiva


@pytest.fixture(scope="session")
def checkpoints(made, tmp_path_factory):
    """A checkpoint of `modiva train`, and a random BERT of one layer."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "call", "open", "the", "door", *"0123456789"]
    inner = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]"
    )
    labels = ("open", "close", "lock")
    bert = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
            intermediate_size=8, max_position_embeddings=16, id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
        )
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("bert")
    bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"own": made / "target", "bert": folder}


FILES = ["config.json"] * 4 + ["tokenizer.json"] * 3 + ["tokenizer_config.json"] * 2
FILES += ["model.safetensors"] * 2


@st.composite
def damaged(draw, checkpoint):
    """The name and the new content of one file of a checkpoint; None where it is gone."""
    name = draw(st.sampled_from(FILES))
    content = (checkpoint / name).read_bytes()
    if draw(st.integers(0, 15)) == 0:
        return name, None
    if name == "model.safetensors":
        return name, draw(byte_strings(content, most=1))
    return name, draw(json_texts(json.loads(content)))


TWICE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
LARGE = st.sampled_from([10**4, 10**6, 10**9, 2**63, 10**30])
COUNTS = ("num_hidden_layers", "num_labels", "layers", "kernel_sizes", "hidden_size", "vocab_size",
          "max_position_embeddings", "num_attention_heads", "block_sizes", "pad_token_id",
          "intermediate_size", "embedding_dim", "characters")  # fmt: skip


@st.composite
def hostile(draw, folder):
    """Make a checkpoint one that asks for much, leads elsewhere, or is no file."""
    kind = draw(
        st.sampled_from(["count", "list", "steps", "pad", "index", "fifo", "device", "big"])
    )
    name = draw(st.sampled_from(["config.json", "tokenizer.json", "tokenizer_config.json",
                                 "model.safetensors"]))  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    if kind == "count":
        config[draw(st.sampled_from(COUNTS))] = draw(LARGE)
    elif kind == "list":
        config[draw(st.sampled_from(COUNTS))] = [draw(LARGE)] * draw(st.sampled_from([1, 3, 10**5]))
    elif kind == "steps":
        steps = [TWICE] * draw(st.sampled_from([3, 30, 1000]))
        tokenizer["normalizer"] = {"type": "Sequence", "normalizers": steps}
    elif kind == "pad":
        tokenizer["padding"] = {
            "strategy": {"Fixed": draw(LARGE)}, "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
        }  # fmt: skip
    elif kind == "index":
        (folder / "model.safetensors").rename(folder / "weights.bin")
        other = draw(
            st.sampled_from(["weights.bin", "../x.safetensors", "/etc/passwd", "a\0b", ""])
        )
        text = json.dumps({"metadata": {}, "weight_map": {"a": other}})
        (folder / "model.safetensors.index.json").write_text(text)
    elif kind == "big":
        weights = load_file(folder / "model.safetensors")
        chosen = draw(st.sampled_from(sorted(weights)))
        weights[chosen] = weights[chosen] * 1e38
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    if kind in ("count", "list"):
        (folder / "config.json").write_text(json.dumps(config))
    if kind in ("steps", "pad"):
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    if kind in ("fifo", "device"):
        (folder / name).unlink()
        os.mkfifo(folder / name) if kind == "fifo" else (folder / name).symlink_to("/dev/zero")


@fuzzed(60)
@given(st.data())
def test_a_hostile_checkpoint_is_attacked_or_refused(checkpoints, data):
    checkpoint = checkpoints[data.draw(st.sampled_from(sorted(checkpoints)))]
    ask = ["--slots", "digit*2", "--prefix", "call", "--label", "open", "--attack", "random"]
    with empty_folder() as folder:
        data.draw(hostile(Path(shutil.copytree(checkpoint, folder / "target"))))
        done = modiva("attack", folder / "target", *ask, "--json", "--no-verdict")
        assert not {"NaN", "Infinity"} & set(done.out.replace(",", " ").split())


def _copy(checkpoint, to, name, content):
    shutil.copytree(checkpoint, to)
    if content is None:
        (to / name).unlink()
    else:
        (to / name).write_bytes(content)
    return to


@fuzzed(100)
@given(st.data())
def test_a_damaged_checkpoint_is_attacked_or_refused(checkpoints, data):
    checkpoint = checkpoints[data.draw(st.sampled_from(sorted(checkpoints)))]
    name, content = data.draw(damaged(checkpoint))
    ask = ["--slots", "digit*2", "--prefix", "call", "--label", "open", "--attack", "random",
           "--decoys", "20"]  # fmt: skip
    with empty_folder() as folder:
        broken = _copy(checkpoint, folder / "target", name, content)
        before = contents(folder)
        modiva("attack", broken, *ask)
        assert contents(folder) == before


@fuzzed(40)
@given(st.data())
def test_a_damaged_base_is_fine_tuned_or_refused(checkpoints, made, data):
    name, content = data.draw(damaged(checkpoints["bert"]))
    with empty_folder() as folder:
        base = _copy(checkpoints["bert"], folder / "base", name, content)
        out = folder / "target"
        small = ["--corpus", made / "own.csv", "--epochs", "1", "--pattern", "call {digit*2}"]
        done = modiva("train", "--target", base, *small, "--out", out)
        left = {file for file in contents(folder) if not file.startswith("base/")}
        if done.code == 0:
            assert {"target.ledger.json", "target/training.json"} <= left
        else:
            assert not left


@fuzzed(25)
@given(st.data())
def test_damaged_weights_before_training_are_used_or_refused(checkpoints, data):
    checkpoint = checkpoints[data.draw(st.sampled_from(sorted(checkpoints)))]
    name, content = data.draw(damaged(checkpoint))
    ask = ["--slots", "digit*2", "--prefix", "call", "--label", "open", "--attack", "movement",
           "--decoys", "20"]  # fmt: skip
    with empty_folder() as folder:
        initial = _copy(checkpoint, folder / "initial", name, content)
        modiva("attack", checkpoint, *ask, "--initial", initial)
