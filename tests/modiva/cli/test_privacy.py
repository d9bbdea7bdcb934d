"""`modiva privacy`: bounds without training."""

import json
import subprocess
import sys

import pytest

from modiva.cli import main

PIN = ["--sentences", "2000", "--batch", "256", "--pattern", "pin"]
KEYS = {
    *("repetitions", "noise_multiplier", "delta", "space_size", "epsilon", "group_epsilon"),
    *("exact_bound", "top10_bound", "exposure_bound", "auc_bound"),
}


def rows(capsys, *flags: str) -> list[dict]:
    assert main(["privacy", *PIN, *flags, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_bounds_of_a_pin_said_once_and_ten_times(capsys):
    once, often = rows(capsys, "--noise", "2", "--steps", "240", "--repetitions", "1", "10")
    assert set(once) == set(often) == KEYS
    assert once["epsilon"] == once["group_epsilon"] == pytest.approx(4.90, abs=0.01)
    assert once["exact_bound"] == pytest.approx(0.0042, abs=5e-5)
    assert once["exposure_bound"] == pytest.approx(3.3, abs=0.05)
    assert (often["repetitions"], often["space_size"]) == (10, 10_000)
    assert often["group_epsilon"] == pytest.approx(106, abs=0.6)
    assert often["exact_bound"] == pytest.approx(1, abs=1e-3)


def test_epochs_are_steps_and_no_noise_has_no_epsilon(capsys):
    by_steps = rows(capsys, "--noise", "4", "--steps", "240")
    assert rows(capsys, "--noise", "4", "--epochs", "30") == by_steps
    bare = rows(capsys, "--noise", "0")
    assert [row["epsilon"] for row in bare] == [None, None]
    assert [row["exact_bound"] for row in bare] == [1.0, 1.0]


def test_noise_follows_from_epsilon_and_from_a_wanted_bound(capsys):
    (three,) = rows(capsys, "--epsilon", "3", "--repetitions", "1")
    assert 2.97 < three["epsilon"] <= 3
    once, often = rows(capsys, "--want-exact", "0.01", "--repetitions", "1", "10")
    assert 0.0097 < often["exact_bound"] <= 0.01
    assert once["exact_bound"] < often["exact_bound"]


@pytest.mark.parametrize(
    ("flag", "name", "wanted"),
    [
        ("--want-top10", "top10_bound", 0.02),
        ("--want-exposure", "exposure_bound", 2.5),
        ("--want-auc", "auc_bound", 0.7),
    ],
)
def test_noise_follows_from_any_bound(capsys, flag, name, wanted):
    (row,) = rows(capsys, flag, str(wanted), "--repetitions", "1")
    assert 0.97 * wanted < row[name] <= wanted


def test_a_table_says_what_the_rows_say(capsys):
    assert main(["privacy", *PIN, "--noise", "2", "--steps", "240"]) == 0
    said = capsys.readouterr().out
    assert "0.416 %" in said
    assert "one of 10,000 secrets" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "exactly one of --noise, --epsilon, --want-exact, --want-top10"),
        (["--want-exact", "0.01", "--want-auc", "0.6"], "--want-exact 0.01 --want-auc 0.6"),
        (["--want-auc", "0.5"], "must be above 0.5, which guessing reaches, and at most 1"),
        (["--want-top10", "0.001"], "must be above 0.001"),
        (["--want-exposure", "1.4"], "must be above 1.4"),
        (["--want-exposure", "14"], "at most 13.2"),
        (["--noise", "1", "--epsilon", "3"], "--noise 1 --epsilon 3"),
        (["--noise", "-1"], "--noise -1.0: must be 0 or more"),
        (["--noise", "1", "--steps", "0"], "--steps 0: must be 1 or more"),
        (["--noise", "1", "--steps", "1", "--epochs", "1"], "give one"),
        (["--noise", "1", "--delta", "0.01"], "allows publishing one"),
        (["--noise", "1", "--repetitions", "-1"], "--repetitions -1"),
        (["--want-exact", "0.0001"], "must be above 0.0001"),
        (["--noise", "1", "--pattern", "my {word} is"], "--space-size"),
        (["--noise", "1", "--space-size", "0"], "--space-size 0"),
    ],
)
def test_bad_values_are_one_line(capsys, flags, message):
    assert main(["privacy", "--sentences", "2000", *flags]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_bounds_are_told_without_pytorch():
    code = (
        "import sys\nfrom modiva.cli import main\n"
        "main(['privacy', '--noise', '2', '--sentences', '500', '--steps', '5'])\n"
        "print({'torch', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.endswith("set()\n")
