"""What a first hour meets: mistyped names, plain terminals, help that can be found."""

import json
import os
import subprocess
import sys

import pytest

from modiva.cli import COMMANDS, main


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["audti"], "audit"),
        (["atack", "folder"], "attack"),
        (["study", "rnu", "x.yaml"], "run"),
        (["corpus", "shwo", "snips"], "show"),
        (["ranker", "fti"], "fit"),
        (["audit", "--target", "lstn"], "lstm"),
        (["audit", "--target", "CNN"], "cnn"),
        (["audit", "--attack", "parihk2022"], "parikh2022"),
        (["audit", "--attack", "contrats"], "contrast"),
        (["audit", "--defense", "dropuot+dp"], "dropout"),
        (["audit", "--corpus", "snisp"], "snips"),
        (["audit", "--objective", "mragin"], "margin"),
        (["audit", "--label", "HassTurnOm"], "HassTurnOn"),
        (["audit", "--pattern", "pim"], "pin"),
        (["corpus", "show", "home-asistant"], "home-assistant"),
    ],
)
def test_a_mistyped_name_is_met_with_the_one_meant(arguments, meant, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")] if arguments[0] == "audit" else []
    assert main([*arguments, *out]) == 2
    message = capsys.readouterr().err
    assert message.startswith("modiva: ")
    assert message.count("\n") == 1
    assert f"(did you mean {meant!r}?)" in message
    assert not list(tmp_path.iterdir())


def test_a_name_like_no_other_is_met_with_all_of_them(capsys):
    assert main(["xyzzy"]) == 2
    message = capsys.readouterr().err
    assert "did you mean" not in message
    assert ", ".join(COMMANDS) in message


def test_a_setting_of_a_study_that_is_mistyped(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("repetition: 3\n")
    assert main(["study", "run", str(tmp_path / "a.yaml"), "--out", str(tmp_path / "out")]) == 2
    assert "(did you mean 'repetitions'?)" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_survives_every_encoding(encoding, tmp_path):
    corpus = tmp_path / "naïve ∞.csv"
    rows = [f"δοκιμή café {i} 🍕,intent ε{i % 2}" for i in range(40)]
    corpus.write_text("text,intent\n" + "\n".join(rows), encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    show = [sys.executable, "-m", "modiva", "corpus", "show", str(corpus)]
    done = subprocess.run(show, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode(encoding)
    assert ("∞" in shown) == (encoding == "utf-8")
    assert ("naïve" in shown) == (encoding != "ascii")
    assert encoding == "utf-8" or "inf.csv" in shown


def test_json_of_an_attack_is_the_same_in_every_encoding(tmp_path, capsys):
    corpus = tmp_path / "own.csv"
    rows = [f"mot café {i % 10} ici {i},{'on' if i % 2 else 'off'}" for i in range(400)]
    corpus.write_text("text,intent\n" + "\n".join(rows), encoding="utf-8")
    flags = ["--corpus", str(corpus), "--target", "cnn", "--size", "small", "--epochs", "1"]
    assert main(["train", *flags, "--out", str(tmp_path / "target")]) == 0
    capsys.readouterr()
    attack = ["attack", str(tmp_path / "target"), "--prefix", "mot café", "--slots", "digit"]
    assert main([*attack, "--label", "on", "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed)["candidates"][0]["text"].startswith("mot café")
    ranked = [*attack, "--label", "on", "--attack", "contrast"]
    assert main(ranked) == 0
    assert capsys.readouterr().out.startswith("contrast (lowest score first), label on: 10 ")


def test_intents_of_a_large_corpus_are_not_one_line(tmp_path, capsys):
    rows = [f"sentence {i},an_intent_with_a_name_{i % 150}" for i in range(1500)]
    (tmp_path / "a.csv").write_text("text,intent\n" + "\n".join(rows))
    assert main(["corpus", "show", str(tmp_path / "a.csv")]) == 0
    shown = capsys.readouterr().out
    assert max(len(line) for line in shown.splitlines() if "intent_" in line) <= 100
    assert "(unknown)" not in shown
    for i in range(150):
        assert f"an_intent_with_a_name_{i} " in shown
    flags = ["audit", "--corpus", str(tmp_path / "a.csv"), "--label", "zzz", "--dry-run"]
    assert main(flags) == 2
    assert "... (150 in all)" in capsys.readouterr().err


def test_the_help_tells_of_the_version_and_of_completion(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "--version" in shown
    assert "--tyro-print-completion" in shown
    assert main(["--version"]) == 0
    with pytest.raises(SystemExit) as stopped:
        main(["--tyro-print-completion", "bash"])
    assert stopped.value.code in (0, None)
