"""What comes in by the command line: refused before work, in one line, and printed harmlessly."""

import json
import math
import os

import pytest

from canaries.reading import json_text, out_of_memory
from modiva.cli import main

ROWS = "text,intent\n" + "".join(
    f"{verb} the door {n},{verb}\n" for verb in ("open", "close", "lock") for n in range(20)
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder: results of the user's own runs must not matter."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """own.csv, and a target that was trained on it for an epoch."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "own.csv").write_text(ROWS)
    small = ["--target", "cnn", "--size", "small", "--epochs", "1", "--pattern", "call"]
    train = ["train", "--corpus", str(folder / "own.csv"), *small, "--out", str(folder / "target")]
    assert main(train) == 0
    return folder


def refused(capsys, *arguments):
    """The one line of a command that was refused."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("modiva: ")
    assert message.count("\n") == 1
    return message


AUDIT = ["--target", "cnn", "--noise", "0", "--pattern", "pin", "--dry-run"]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--sentences", "1"], "1 training sentences cannot hold the 3 intents"),
        (["--sentences", "1", "--attack", "ranker"], "cannot hold the 3 intents"),
        (["--repetitions", "1000000000"], "1,000,000,000 sentences planted"),
        (["--controls", "100000000"], "100,000,001 secrets drawn"),
        (["--repetitions", *map(str, range(4000)), "--epsilon", "1", "2", "3"], "10,000 at most"),
        (["--device", "cuda"], "has none; use 'auto'"),
        (["--corpus", "~nouser/own.csv"], "~ stands for no folder here"),
        (["--corpus", os.fsdecode(b"own\xff.csv")], "is not UTF-8: rename the file"),
    ],
)
def test_what_no_model_could_be_trained_with_is_refused_before_any_is(made, capsys, flags, named):
    import torch

    if "cuda" in flags and torch.cuda.is_available():
        pytest.skip("there is CUDA")
    assert named in refused(capsys, "audit", "--corpus", made / "own.csv", *AUDIT, *flags)


@pytest.mark.parametrize("variable", ["MODIVA_CORPORA", "MODIVA_CACHE"])
def test_a_home_of_nobody_is_refused(capsys, monkeypatch, variable):
    monkeypatch.setenv(variable, "~nouser/x")
    assert "~ stands for no folder here" in refused(capsys, "corpus", "show", "banking77")


@pytest.mark.parametrize(
    ("attack", "setting"),
    [("coordinate", "restarts"), ("relaxed", "restarts"), ("gumbel", "samples"),
     ("random", "guesses"), ("gcg2023", "batch_size")],
)  # fmt: skip
def test_a_search_holds_as_many_candidates_as_fit(made, capsys, attack, setting):
    ask = ["--slots", "digit", "--label", "open", "--attack", attack]
    message = refused(capsys, "attack", made / "target", *ask, "--set", f"{setting}=1000000000")
    assert f"{setting} is 1000000000, must be 1 to 1,000,000" in message


def test_memory_that_is_not_there_is_told_from_other_errors():
    import torch

    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    assert out_of_memory(error.value)
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("shapes do not match"))


def test_no_name_or_label_moves_the_terminal(tmp_path, capsys):
    rows = [f"open \x1b[31mthe door {n},in\x1b[2Jt{n % 2}" for n in range(60)]
    path = tmp_path / "e\x1b[31m.csv"
    path.write_text("text,intent\n" + "\n".join(rows))
    for command in (["corpus", "show"], ["audit", *AUDIT, "--corpus"]):
        assert main([*command, str(path)]) == 0
        printed = capsys.readouterr()
        assert "\x1b" not in printed.out + printed.err
    assert "in\\x1b[2Jt0" in refused(capsys, "audit", *AUDIT, "--label", "in\x1b[2Jt0")


def test_json_holds_numbers_that_every_reader_takes(capsys):
    assert main(["privacy", "--sentences", "1000", "--noise", "0", "--steps", "9", "--json"]) == 0
    (row, _) = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert row["epsilon"] is None
    assert json.loads(json_text({"a": (math.nan, -math.inf, 1.5)})) == {"a": [None, None, 1.5]}


@pytest.mark.parametrize(
    ("slots", "by", "secret", "place"),
    [
        ("word", "loss", "door", "by loss ("),
        ("digit*2", "contrast", "1 2", "of 100 by contrast ("),
        ("digit*2", "rows", "1 2", "of 100 by rows ("),
        ("digit*2", "movement", "1 2", "of 100 by loss ("),
        ("digit*10", "contrast", "1 2 3 4 5 6 7 8 9 0",
         "of 20,000 candidates drawn at random by loss (about"),
    ],
)  # fmt: skip
def test_a_secret_has_a_place_whatever_found_it(made, tmp_path, capsys, slots, by, secret, place):
    ask = ["--prefix", "call", "--slots", slots, "--label", "open", "--attack", "random"]
    assert main(["attack", str(made / "target"), *ask, "--json", "--no-verdict"]) == 0
    found = json.loads(capsys.readouterr().out) | {"objective": by}
    (tmp_path / "found.json").write_text(json.dumps(found))
    known = ["--secret", secret, "--checkpoint", str(made / "target")]
    assert main(["score", str(tmp_path / "found.json"), *known]) == 0
    assert place in capsys.readouterr().out
