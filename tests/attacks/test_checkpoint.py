"""Checkpoints of others: float32 whatever they hold, and one clear line where they are damaged."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from attacks import ATTACKS, Knowledge, build_completion, get_attack
from attacks.__main__ import main
from attacks.checkpoint import load_checkpoint, load_initial
from attacks.errors import AttackError
from attacks.scoring import score_space
from canaries.patterns import parse_slots

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def saved(tmp_path, tokenizer, bert):
    folder = tmp_path / "target"
    bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def losses(model, tokenizer):
    slots = parse_slots("digit*2")
    problem = build_completion(tokenizer, model, prefix="call", slots=slots, label=1)
    return problem, score_space(model, problem)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_disk_is_attacked_in_float32(dtype, saved, tokenizer, bert, own_loss):
    bert.to(dtype).save_pretrained(saved)
    model, loaded = load_checkpoint(str(saved))
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    problem, scores = losses(model, loaded)
    bert.float()  # the rounded weights, computed with in float32
    for index in (0, 17, 99):
        text = problem.text(problem.secret(divmod(index, 10)))
        assert scores[index] == pytest.approx(own_loss(bert, tokenizer, text, 1), abs=1e-5)
    target, _ = load_checkpoint(str(saved))
    assert load_initial(str(saved), target).dtype == torch.float32


def test_a_model_in_half_precision_is_refused(tokenizer, make_bert):
    model = make_bert(tokenizer)
    problem, _ = losses(model, tokenizer)
    half = make_bert(tokenizer).to(torch.bfloat16)
    with pytest.raises(AttackError, match=r"bfloat16 weights .* call model\.float\(\)"):
        score_space(half, problem)
    with pytest.raises(AttackError, match=r"model\.float\(\)"):
        get_attack("coordinate").run(half, [problem])
    with pytest.raises(AttackError, match=r"model\.float\(\)"):
        ATTACKS["movement"].run(model, [problem], knowledge=Knowledge(initial=half))
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(AttackError, match="autocast"):
        score_space(model, problem)


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module.", "module._orig_mod."])
def test_weights_saved_from_a_wrapped_model_are_taken(wrapper, saved, tokenizer, bert, caplog):
    _, expected = losses(bert, tokenizer)
    rename_weights(saved, lambda name: wrapper + name)
    with caplog.at_level(logging.WARNING):
        model, loaded = load_checkpoint(str(saved))
    assert "_orig_mod." in caplog.text
    assert (losses(model, loaded)[1] == expected).all()
    model.save_pretrained(saved)
    assert not any(wrapper in name for name in load_file(saved / "model.safetensors"))


def test_weights_without_a_place_are_said(saved, caplog):
    set_json("config.json", num_hidden_layers=0)(saved)
    with caplog.at_level(logging.WARNING):
        load_checkpoint(str(saved))
    assert "16 weights of its files have no place" in caplog.text


def rename_weights(folder, new):
    file = folder / "model.safetensors"
    weights = {new(name): value.clone() for name, value in load_file(file).items()}
    save_file(weights, file, {"format": "pt"})


def set_json(name, **values):
    def change(folder):
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content.encode("latin-1"))


def index(**content):
    def change(folder):
        (folder / "model.safetensors").rename(folder / "a.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    return change


def truncate(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def put_nan(folder):
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["classifier.weight"][0, 0] = torch.nan
    save_file(weights, file, {"format": "pt"})


TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "nowhere", "type_id": 0}}],
    "pair": [],
    "special_tokens": {},
}
TWICE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
DOUBLING = {"type": "Sequence", "normalizers": [TWICE] * 40}
STEPS = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}] * 65}
DAMAGE = {
    "architectures a number": (set_json("config.json", architectures=5), "architectures 5"),
    "architectures of numbers": (set_json("config.json", architectures=[5]), "a list of names"),
    "model type a list": (set_json("config.json", model_type=["bert"]), "model_type ['bert']"),
    "model type a dict": (set_json("config.json", model_type={}), "model_type {}"),
    "no object": (write("config.json", "null"), "JSON object"),
    "nested": (write("config.json", DEEP), "nested too deep"),
    "nested inside": (set_json("config.json", x=json.loads("[" * 600 + "]" * 600)), "Recursion"),
    "not text": (write("config.json", "\xff\xfe"), "not JSON"),
    "unknown dtype": (set_json("config.json", dtype="real"), "dtype 'real'"),
    "dtype a function": (set_json("config.json", torch_dtype="load"), "torch_dtype 'load'"),
    "dtype of integers": (set_json("config.json", dtype="int8"), "dtype 'int8'"),
    "gap": (set_json("config.json", id2label={"0": "a", "1": "b", "3": "c"}), "without a gap"),
    "label keys": (set_json("config.json", id2label={"a": "b"}), "'a'"),
    "labels a list": (set_json("config.json", id2label=["a", "b"]), "configuration"),
    "fewer labels": (set_json("config.json", id2label={"0": "a", "1": "b"}), "another shape"),
    "many labels": (set_json("config.json", num_labels=10**9, id2label=None), "at most"),
    "many layers": (set_json("config.json", num_hidden_layers=10**9), "at most"),
    "more layers": (set_json("config.json", num_hidden_layers=2), "lacks weights (bert.encoder"),
    "wide": (set_json("config.json", hidden_size=10**6), "declares"),
    "overflowing": (set_json("config.json", vocab_size=10**18), "cannot be loaded"),
    "textual size": (set_json("config.json", hidden_size="wide"), "hidden_size"),
    "heads": (set_json("config.json", num_attention_heads=3), "3"),
    "activation": (set_json("config.json", hidden_act="sing"), "sing"),
    "epsilon": (set_json("config.json", layer_norm_eps=float("nan")), "no finite logits"),
    "quantised": (set_json("config.json", quantization_config={"a": 1}), "quantised"),
    "elsewhere": (set_json("config.json", configuration_files=["config.4.json"]), "other"),
    "few tokens": (set_json("config.json", vocab_size=3), "another shape"),
    "negative length": (set_json("tokenizer_config.json", model_max_length=-1), "length -1"),
    "textual length": (set_json("tokenizer_config.json", model_max_length="a"), "model_max_length"),
    "tokenizer class": (set_json("tokenizer_config.json", tokenizer_class=5), "usable tokenizer"),
    "tokenizer nested": (write("tokenizer_config.json", DEEP), "usable tokenizer"),
    "tokenizer empty": (write("tokenizer.json", ""), "tokenizer.json is not JSON"),
    "tokenizer doubling": (set_json("tokenizer.json", normalizer=DOUBLING), "as long"),
    "tokenizer nesting": (set_json("tokenizer.json", normalizer=STEPS), "64 steps"),
    "blocks": (set_json("config.json", block_sizes=[4, 10**9]), "block_sizes 1000000000"),
    "layers inside": (set_json("config.json", inner=[{"n_layers": 10**9}]), "n_layers"),
    "experts": (set_json("config.json", num_experts=10**9), "num_experts"),
    "long list": (set_json("config.json", kernel_sizes=[1] * 10**5), "100,000 values"),
    "tokenizer model": (set_json("tokenizer.json", model=3), "usable tokenizer"),
    "template": (set_json("tokenizer.json", post_processor=TEMPLATE), "usable tokenizer"),
    "no header": (write("model.safetensors", ""), "cannot be loaded"),
    "header": (write("model.safetensors", "\x08" + 7 * "\0" + "nonsense"), "cannot be loaded"),
    "huge header": (write("model.safetensors", 8 * "\xff" + "{}"), "cannot be loaded"),
    "no tensors": (write("model.safetensors", "\x02" + 7 * "\0" + "{}"), "no tensor"),
    "truncated": (truncate, "cannot be loaded"),
    "not a number": (put_nan, "NaN or infinite numbers in classifier.weight"),
    "index outside": (index(weight_map={"a": "../a.safetensors"}), "its own folder"),
    "index absolute": (index(weight_map={"a": "/etc/passwd"}), "its own folder"),
    "index of a pickle": (index(weight_map={"a": "weights.bin"}), "no .safetensors file"),
    "index of numbers": (index(weight_map={"a": 5}), "weight_map"),
    "index without map": (index(), "weight_map"),
    "index of nothing": (index(weight_map={}), "no weights"),
    "index of absent files": (index(weight_map={"a": "b.safetensors"}), "lacks 'b.safetensors'"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_one_line_and_exit_code_2(name, saved, capfd):
    change, says = DAMAGE[name]
    change(saved)
    capfd.readouterr()  # what saving wrote
    asked = ["--prefix", "call", "--slots", "digit*2", "--label", "1"]
    assert main([str(saved), *asked]) == 2
    captured = capfd.readouterr()
    assert says in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert not captured.out


def test_an_error_of_our_own_is_not_taken_for_the_checkpoints(saved):
    with pytest.raises(TypeError):
        load_checkpoint(str(saved), device=None)


@pytest.mark.parametrize("device", ["meta", "mps", "xpu", "nonsense", "cuda:99"])
def test_a_device_that_computes_nothing_here_is_refused(device, saved):
    with pytest.raises(AttackError, match=f"device '{device}'"):
        load_checkpoint(str(saved), device=device)


def test_logits_that_are_not_finite_are_refused_by_the_name_of_the_model(saved, tokenizer):
    """Finite weights, and a candidate that overflows: ranked by infinity it would be first."""
    model, loaded = load_checkpoint(str(saved))
    with torch.no_grad():
        model.get_input_embeddings().weight[loaded.convert_tokens_to_ids("7")] = 3e38
    slots = parse_slots("digit*2")
    problem = build_completion(loaded, model, prefix="call", slots=slots, label=1)
    for run in (
        lambda: score_space(model, problem),
        lambda: get_attack("exhaustive").run(model, [problem]),
        lambda: get_attack("contrast").run(model, [problem]),
    ):
        with pytest.raises(AttackError, match=r"BertFor.*target gives NaN or infinite logits"):
            run()


def test_files_of_a_hub_name_are_checked_as_those_of_a_folder(saved, tmp_path, monkeypatch):
    """In the cache of the hub's library, as it lays files out; nothing is fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("whole", "hostile"):
        place = tmp_path / "hub" / f"models--owner--{name}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("0" * 40)
        shutil.copytree(saved, place / "snapshots" / ("0" * 40))
    config = place / "snapshots" / ("0" * 40) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 10**9}))
    model, _ = load_checkpoint("owner/whole")
    assert all(map(torch.equal, model.parameters(), load_checkpoint(str(saved))[0].parameters()))
    with pytest.raises(AttackError, match=r"num_hidden_layers 1000000000: .* at most"):
        load_checkpoint("owner/hostile")
    with pytest.raises(AttackError, match=r"owner/absent cannot be fetched: .* check the name"):
        load_checkpoint("owner/absent")
