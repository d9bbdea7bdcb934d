"""`modiva train --training fedavg`: a target of clients, and the updates that a server sees."""

import json

import pytest

from canaries import Ledger
from modiva.cli import main

SMALL = ["--target", "cnn", "--size", "small", "--sentences", "600", "--epochs", "2"]
DEVICES = ["--training", "fedavg", "--clients", "10", "--per-round", "5", "--rounds", "8"]
SECRET = ["--pattern", "pin:3", "--label", "HassTurnOn", "--repetitions", "10"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("federated") / "target"
    flags = [*SMALL, *DEVICES, *SECRET, "--seen", "update"]
    assert main(["train", "--out", str(out), *flags]) == 0
    return out


def _rank(model, initial, secret, capsys):
    """Return the place of a secret by `match`, from 1."""
    flags = ["--prefix", "my pin code is", "--slots", "digit*3", "--label", "HassTurnOn"]
    flags += ["--initial", str(initial), "--attack", "match", "--no-verdict", "--json"]
    capsys.readouterr()
    assert main(["attack", str(model), *flags, "--top", "1000"]) == 0
    found = json.loads(capsys.readouterr().out)["candidates"]
    return [candidate["text"] for candidate in found].index(secret) + 1


def test_the_update_of_a_device_names_its_secret(folder, capsys):
    (canary,) = Ledger.load(folder.with_name("target.ledger.json")).canaries
    steps = sorted((folder.with_name("target.update") / canary.id).iterdir())
    assert steps
    ranks = [_rank(step / "after", step / "before", canary.text, capsys) for step in steps]
    assert min(ranks) <= 10


def test_the_step_before_is_no_checkpoint_of_its_own_training(folder):
    assert (folder / "training.json").is_file()
    assert not list(folder.with_name("target.update").rglob("training.json"))


def test_distillation_is_a_way_of_training_too(tmp_path, capsys):
    out = tmp_path / "student"
    flags = ["--training", "distil:other", *SMALL, "--epochs", "1"]
    assert main(["train", "--out", str(out), *flags]) == 0
    facts = json.loads((out / "training.json").read_text())
    assert facts["condition"]["training"]["transfer"] == "other"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--training", "fedavg", "fedprox"], "2 ways of training"),
        (["--seen", "update"], "--seen update"),
        ([*DEVICES, "--seen", "update"], "--seen update"),
        ([*DEVICES, "--clients", "601"], "601"),
        ([*DEVICES, *SECRET, "--seen", "all"], "--seen all"),
        (["--training", "fedsgd"], "--training fedsgd"),
    ],
)
def test_what_one_target_cannot_be_is_refused_before_training(tmp_path, capsys, flags, named):
    assert main(["train", "--out", str(tmp_path / "no"), *SMALL, *flags]) == 2
    assert named in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
