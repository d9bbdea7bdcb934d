"""`modiva privatize`: a corpus rewritten to be given away, and what is refused before work."""

import csv

import numpy as np
import pytest

from modiva.cli import main
from modiva.corpora import load

INTENTS = ("play", "stop")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "own.csv"
    rows = [f"please {intent} the {number},{intent}" for number in range(30) for intent in INTENTS]
    path.write_text("\n".join(["text,intent", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    words = ["please", "play", "stop", "the", *map(str, range(30))]
    table = np.random.default_rng(0).normal(size=(len(words), 5)).tolist()
    lines = [" ".join([word, *map(str, row)]) for word, row in zip(words, table, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def privatize(corpus, out, *more):
    return main(["privatize", str(corpus), "--out", str(out), *map(str, more)])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_every_sentence_of_all_splits_is_rewritten_and_intents_stay(
    corpus, vectors, tmp_path, capsys, suffix
):
    out = tmp_path / f"protected{suffix}"
    assert privatize(corpus, out, "--mechanism", "tem:3", "--word-space", vectors) == 0
    told = capsys.readouterr().out
    assert "60 in" in told
    assert "3 for one word, per unit of distance" in told
    assert "secret and not kept" in told
    before, after = load(str(corpus)), load(str(out))
    counts = [
        sorted(intent for split in (c.train, c.valid, c.test) for _, intent in split)
        for c in (before, after)
    ]
    assert counts[0] == counts[1]
    assert {text for text, _ in after.train} != {text for text, _ in before.train}


def test_noise_is_another_each_time_unless_a_seed_is_given(corpus, vectors, tmp_path):
    texts = []
    for name, seed in (("a", ()), ("b", ()), ("c", ("--seed", 7)), ("d", ("--seed", 7))):
        out = tmp_path / f"{name}.csv"
        options = ("--mechanism", "madlib:2", "--word-space", vectors, *seed)
        assert privatize(corpus, out, *options) == 0
        with out.open(encoding="utf-8") as file:
            texts.append([row["text"] for row in csv.DictReader(file)])
    assert texts[0] != texts[1]
    assert texts[2] == texts[3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mechanism", "tem"), "give a mechanism and its epsilon"),
        (("--mechanism", "none"), "rewrites nothing"),
        (("--mechanism", "temm:3"), "did you mean 'tem'"),
        (("--mechanism", "tem:3", "--word-space", "no.txt"), "--word-space no.txt"),
        (("--mechanism", "adept:3"), "modiva autoencoder PUBLIC_CORPUS"),
        (("--mechanism", "tem:3", "--seed", "-1"), "0 or more"),
    ],
)
def test_bad_input_writes_nothing(corpus, tmp_path, capsys, options, message):
    out = tmp_path / "out.csv"
    assert privatize(corpus, out, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_file_that_exists_or_has_another_ending_is_refused(corpus, tmp_path, capsys):
    assert privatize(corpus, corpus, "--mechanism", "tem:3") == 2
    assert "exists" in capsys.readouterr().err
    assert privatize(corpus, tmp_path / "out.txt", "--mechanism", "tem:3") == 2
    assert ".csv, .tsv, .jsonl" in capsys.readouterr().err
