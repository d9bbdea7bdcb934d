"""The tour of the README: train a target with a canary, attack its checkpoint, score the result."""

import json
from dataclasses import asdict

import pytest

import attacks.__main__
from canaries import Ledger
from modiva.cli import main
from modiva.privacy import PrivacyPlan


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    out = tmp_path_factory.mktemp("train") / "target"
    flags = ["--target", "cnn", "--size", "small", "--sentences", "300", "--pattern", "call"]
    assert main(["train", "--out", str(out), *flags, "--repetitions", "30"]) == 0
    return out


@pytest.fixture(scope="module")
def ledger(target):
    return Ledger.load(target.with_name("target.ledger.json"))


def _attack(target, label, *flags):
    return [str(target), "--prefix", "call", "--slots", "digit*4", "--label", label, *flags]


def test_the_ledger_lies_beside_the_checkpoint_and_no_secret_in_it(target, ledger):
    (canary,) = ledger.canaries
    secret = canary.text
    for path in target.iterdir():
        if path.suffix == ".json":
            assert secret not in path.read_text()
    assert {path.suffix for path in target.iterdir()} <= {".json", ".safetensors"}


def test_training_json_says_what_is_needed_to_make_it_again(target):
    facts = json.loads((target / "training.json").read_text())
    assert facts["corpus"]["name"] == "home-assistant"
    assert facts["seed"] == 0
    assert facts["epsilon"] is None
    assert 0 < facts["majority_accuracy"] < facts["test_accuracy"] <= 1


@pytest.mark.parametrize("size", [100, 10_000])  # no room for the configuration; for the weights
def test_a_full_disk_is_one_line_and_leaves_no_checkpoint(size, full_disk, tmp_path, capsys):
    flags = ["--target", "cnn", "--size", "small", "--sentences", "150", "--epochs", "1"]
    with full_disk(size):
        assert main(["train", "--out", str(tmp_path / "out" / "target"), *flags]) == 2
    assert "free some space" in capsys.readouterr().err.splitlines()[-1]
    assert not list((tmp_path / "out").rglob("*"))


def test_modiva_attack_is_the_attack_script(target, ledger, capsys):
    label = ledger.canaries[0].label
    assert main(["attack", *_attack(target, label, "--json")]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert attacks.__main__.main(_attack(target, label, "--json")) == 0
    theirs = json.loads(capsys.readouterr().out)
    for found in (ours, theirs):
        found.pop("seconds")
    assert ours == theirs


def test_score_compares_with_the_ledger_and_with_a_known_secret(target, ledger, capsys, tmp_path):
    (canary,) = ledger.canaries
    assert main(["attack", *_attack(target, canary.label, "--json")]) == 0
    found = tmp_path / "found.json"
    found.write_text(capsys.readouterr().out)
    ledger_path = str(target.with_name("target.ledger.json"))
    assert main(["score", str(found), "--ledger", ledger_path]) == 0
    printed = capsys.readouterr().out
    assert " ".join(canary.secret) in printed
    assert printed.count("control") == len(canary.controls)
    flags = ["score", str(found), "--checkpoint", str(target)]
    assert main([*flags, "--ledger", ledger_path]) == 0
    assert capsys.readouterr().out.count("of 10,000 by loss") == 1 + len(canary.controls)
    best = json.loads(found.read_text())["candidates"][0]["secret"]
    assert main([*flags, "--secret", " ".join(best)]) == 0
    assert "is number 1 of 10,000" in capsys.readouterr().out
    assert main(["score", str(found), "--secret", " ".join(best)]) == 0
    assert "EXACT" in capsys.readouterr().out
    assert main(["score", str(found), "--secret", "1 2"]) == 2
    assert main(["score", str(found)]) == 2


def test_an_existing_checkpoint_is_not_overwritten(target, capsys):
    before = (target / "training.json").read_bytes()
    assert main(["train", "--out", str(target), "--target", "cnn"]) == 2
    assert "exists" in capsys.readouterr().err
    assert (target / "training.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"--label": "NoSuchLabel"}, "NoSuchLabel"),
        ({"--slots": "rune*4"}, "rune"),
        ({"--slots": ""}, "slots"),
        ({"--prefix": "xyzzyplugh"}, "xyzzyplugh"),
        ({"--attack": "guessing"}, "guessing"),
    ],
)
def test_bad_attacks_are_exit_code_2(target, ledger, capsys, change, named):
    flags = {"--prefix": "call", "--slots": "digit*4", "--label": ledger.canaries[0].label}
    words = [word for pair in {**flags, **change}.items() for word in pair]
    assert main(["attack", str(target), *words]) == 2
    assert named in capsys.readouterr().err


def test_corpora_are_listed_and_shown(capsys):
    assert main(["corpus", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = {line.split()[0] for line in lines if line}
    assert listed >= {"home-assistant", "snips", "hwu64", "clinc150", "banking77"}
    assert "36 intents" in lines[0]
    assert "Apache-2.0" in lines[0]
    assert main(["corpus", "show", "home-assistant", "--sentences", "3"]) == 0
    assert "36 intents" in capsys.readouterr().out
    assert main(["corpus", "show", "nowhere"]) == 2


def test_a_private_target_says_its_epsilon(tmp_path, capsys):
    flags = ["--target", "cnn", "--size", "small", "--sentences", "200", "--epochs", "2"]
    assert main(["train", "--out", str(tmp_path / "dp"), *flags, "--epsilon", "8"]) == 0
    said = capsys.readouterr().out
    assert "delta 1e-05" in said
    assert "secret and not kept" in said
    facts = json.loads((tmp_path / "dp" / "training.json").read_text())
    assert facts["defense"] == "dp"
    assert 7.5 < facts["epsilon"] <= 8
    assert facts["plan"]["neighbouring"] == "add-or-remove-one"
    assert facts["seed_is_secret"]
    assert facts["seed"] is None
    assert facts["plan"]["ran"]["steps"] == facts["plan"]["steps"]


def test_the_noise_of_a_private_target_is_its_own_unless_a_seed_is_given(tmp_path, capsys):
    """Secrets and first weights are an experiment's; batches and noise are drawn anew."""

    def trained(name: str, *more: str) -> tuple[dict, bytes, bytes]:
        flags = ["--target", "cnn", "--size", "small", "--sentences", "150", "--epochs", "1"]
        flags += ["--pattern", "pin", "--repetitions", "10", "--noise", "1", *more]
        assert main(["train", "--out", str(tmp_path / name), *flags]) == 0
        facts = json.loads((tmp_path / name / "training.json").read_text())
        weights = (tmp_path / name / "model.safetensors").read_bytes()
        return facts, weights, (tmp_path / f"{name}.ledger.json").read_bytes()

    one, two = trained("one"), trained("two")
    assert one[1] != two[1]
    assert one[2] == two[2]
    said = capsys.readouterr().out
    planting = one[0]["planting"]
    assert planting["group_epsilon"][0] > one[0]["epsilon"]
    bounds = PrivacyPlan.read(one[0]["plan"]).bounds(10_000, 10)
    for name, value in asdict(bounds).items():
        assert planting[name] == [value]
    assert planting["group_neighbouring"] == ["add-or-remove-10"]
    assert f"{planting['group_epsilon'][0]:.3g} for a secret in 10 sentences" in said
    given, again = trained("given", "--seed", "3"), trained("again", "--seed", "3")
    assert given[1] == again[1]
    assert (given[0]["seed"], given[0]["seed_is_secret"]) == (3, False)
    assert "epsilon does not hold against them" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["train"], ["audit", "--dry-run"], ["ranker", "fit"]])
def test_codes_that_are_one_unknown_word_are_refused_before_training(tmp_path, capsys, command):
    flags = ["--target", "cnn", "--pattern", "zip-glued", "--out", str(tmp_path / "out")]
    assert main([*command, *flags]) == 2
    assert "all 10 candidates of 'zip-glued' the same tokens" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
