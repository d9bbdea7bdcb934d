"""Plant, train, attack and measure in a few statements, on data of any form."""

import ast
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

import modiva
from canaries import CanaryError, Ledger
from modiva.corpora import load
from modiva.errors import ModivaError

pytestmark = pytest.mark.xdist_group("api")  # what its tests share is made once

PAGE = Path(__file__).parents[3] / "docs" / "python.md"
PROGRAM = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    """What the first program of the page leaves: a target is trained once for this file."""
    left: dict[str, Any] = {}
    exec(PROGRAM, left)
    return left


def test_plant_train_attack_and_measure_take_at_most_12_statements_and_2_imports(run):
    statements = ast.parse(PROGRAM).body
    imports = [one for one in statements if isinstance(one, ast.Import | ast.ImportFrom)]
    assert len(imports) <= 2
    assert len(statements) <= 12
    rows = run["scores"].frame()
    assert rows[rows.planted].exact.tolist() == [True]
    assert rows[rows.planted]["rank"].tolist() == [1]
    assert not rows[~rows.planted].exact.any()
    assert run["scores"].summary().startswith("1 of 1 planted secret came back")


@pytest.mark.parametrize("name", ["planted", "target", "found", "scores"])
def test_results_have_sentences_a_table_a_page_and_a_short_form(run, name, tmp_path):
    result = run[name]
    first = result.summary().splitlines()[0]
    assert repr(result) == f"<{type(result).__name__}: {first}>"
    frame = result.frame()
    shown = result._repr_html_()
    assert all(str(column) in shown for column in frame.columns)
    page = result.report(tmp_path / "page.html").read_text()
    assert page.count("<tr>") == len(frame) + 1
    assert "http" not in page.replace("http-equiv", "")
    if name == "target":  # nothing looks at the validation split between epochs
        assert list(frame) == ["epoch", "train_loss"]


def test_the_attack_says_what_the_command_says(run, tmp_path, capsys):
    from modiva.cli import main

    folder = run["target"].save(tmp_path / "target")
    command = ["attack", str(folder), "--template", "pin", "--label", "HassTurnOn", "--json"]
    assert main([*command, "--top", "100"]) == 0
    told = json.loads(capsys.readouterr().out)
    frame = run["found"].frame()
    assert [one["text"] for one in told["candidates"]] == frame.text.tolist()
    assert told["verdict"]["p_value"] == run["found"].extraction.verdict.p_value
    again = modiva.attack(folder, None, "pin", label="HassTurnOn", verdict=False, top=3)
    assert again.frame().text.tolist() == frame.text.tolist()[:3]


def test_the_ledger_is_that_of_the_owner_and_can_be_kept(run, tmp_path):
    planted = run["planted"]
    ledger = Ledger.load(planted.save(tmp_path / "secrets.json"))
    assert ledger == planted.ledger
    (canary,) = ledger.canaries
    assert [text for text, _ in planted.data["train"]].count(canary.text) == 10
    assert canary.text not in str(run["found"].settings)


ROWS = [(f"sentence number {i}", ["light", "phone", "weather"][i % 3]) for i in range(60)]
FRAME = pd.DataFrame({"text": [t for t, _ in ROWS], "label": [i for _, i in ROWS], "n": range(60)})
FEATURES = datasets.Features(
    {"label": datasets.ClassLabel(names=["light", "phone", "weather"]),
     "text": datasets.Value("string"), "n": datasets.Value("int64")}
)  # fmt: skip
DATA_SET = datasets.Dataset.from_dict(
    {"text": FRAME.text, "label": [i % 3 for i in range(60)], "n": FRAME.n}, features=FEATURES
)
FORMS: dict[str, Any] = {
    "pairs": ROWS,
    "records": [{"query": text, "intent": label, "n": 1} for text, label in ROWS],
    "columns": {"text": [t for t, _ in ROWS], "label": [i for _, i in ROWS]},
    "frame": FRAME,
    "categories": FRAME.astype({"label": "category"}),
    "data set": DATA_SET,
    "splits": {"train": ROWS[:40], "test": ROWS[40:]},
    "data set dict": datasets.DatasetDict(train=DATA_SET, test=DATA_SET),
}


@pytest.mark.parametrize("form", FORMS)
def test_data_of_any_form_keeps_its_form_with_canaries_among_it(form):
    data = FORMS[form]
    planted = modiva.plant(data, "my code is {digit*4:glued}", label="phone", repetitions=7)
    assert type(planted.data) is type(data)
    (canary,) = planted.ledger.canaries
    filled = planted.data["train"] if hasattr(data, "keys") and "train" in data else planted.data
    before = load(data, seed=0)
    after = load(planted.data, seed=0)
    count = {"splits": 40}.get(form, 60)
    assert len(filled["text"] if form == "columns" else filled) == count + 7
    told = {form: [*corpus.train, *corpus.valid] for form, corpus in
            (("before", before), ("after", after))}  # fmt: skip
    new = [pair for pair in told["after"] if pair[0] == canary.text]
    assert set(new) == {(canary.text, "phone")}
    if form == "frame":
        assert (filled.dtypes == data.dtypes).loc[["text", "label"]].all()
        rest = filled[filled.text != canary.text]
        assert (rest.n.to_numpy() == np.arange(60)).all()
    if form == "categories":
        assert filled.label.dtype == data.label.dtype
    if form == "data set":
        assert filled.features == data.features
        assert filled["n"].count(None) == 7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modiva.plant(ROWS, "pin", label="cooking"), "no training sentence has the intent"),
        (lambda: modiva.plant(DATA_SET, "pin", label="new"), "not among the 3 labels of the data"),
        (lambda: modiva.plant(ROWS, []), "no pattern to plant"),
        (lambda: modiva.plant(ROWS, "pinn"), "use one of"),
        (lambda: modiva.train(ROWS, "cnnn"), "cnnn"),
        (lambda: modiva.train(ROWS, noise=1.0, epsilon=3.0), "give one of the two"),
        (lambda: modiva.attack("./nowhere", None, "pin", label="a"), "does not exist"),
        (lambda: modiva.attack("nowhere", None, "pin", label="a", atack="beam"), "'atack'"),
        (lambda: modiva.expose("nowhere", None, ROWS, 3), "the non-members is int"),
        (lambda: modiva.audit(ROWS, target="cnn", nois=1), "unknown setting 'nois'.*noise"),
        (lambda: modiva.audit(ROWS, models="six"), "models holds 'six'"),
    ],
)  # fmt: skip
def test_what_a_user_can_mend_is_one_clear_error(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ModivaError, CanaryError, ValueError), match=message):
        call()


def test_a_sentence_that_was_not_planted_is_not_scored(run):
    other = modiva.plant(ROWS, "my badge is {letter*2}")
    with pytest.raises(ModivaError, match="no planted secret has the form of 'my pin code is"):
        other.score(run["found"])


def test_an_audit_of_a_data_frame_is_an_object(tmp_path):
    result = modiva.audit(
        FRAME, out=tmp_path / "audit", target="cnn", pattern="color", repetitions=3, noise=0,
        models=2, epochs=1, attack=["exhaustive", "random"], engine="debug", progress=False,
    )  # fmt: skip
    assert result.summary() == (tmp_path / "audit" / "summary.txt").read_text().splitlines()[-1]
    assert len(result.frame()) == 2 * 2 * 6  # models, attacks, the secret and five controls
    assert result.report().read_text().startswith("<!doctype html>")
    assert "exhaustive" in result._repr_html_()
    assert repr(result).startswith("<AuditResult: ")
    (place,) = tmp_path.glob("data-*")
    assert load(place).fingerprint == load(FRAME).fingerprint


@pytest.fixture(scope="module")
def bert() -> tuple[BertForSequenceClassification, PreTrainedTokenizerFast]:
    digits = [str(digit) for digit in range(10)]
    pieces = ["[PAD]", "[UNK]", "my", "pin", "is", *digits, *(f"##{digit}" for digit in digits)]
    inner = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]"
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=16,
        id2label={0: "card", 1: "pin"}, label2id={"card": 0, "pin": 1},
    )  # fmt: skip
    return BertForSequenceClassification(config), tokenizer


def test_exposing_takes_frames_and_leaves_the_model_as_it_was(bert, tmp_path):
    model, tokenizer = bert
    model.train()
    rows = [(f"my pin is {code}", ["card", "pin"][code % 2]) for code in range(100, 140)]
    members = pd.DataFrame(rows[:20], columns=["sentence", "topic"])
    others = datasets.Dataset.from_pandas(pd.DataFrame(rows[20:], columns=["sentence", "topic"]))
    found = modiva.expose(model, tokenizer, members, others, label_column="topic")
    assert model.training
    assert "p = " in found.summary()
    assert len(found.frame()) == 40
    assert "secret" not in found.frame()
    page = found.report(tmp_path / "exposed")
    assert page.name == "exposed.html"
    assert "given as DataFrame" in page.read_text()
    own = modiva.expose(
        model, tokenizer, members, others, label_column="topic", reveal=True,
        patterns={"last": "[0-9]{2}$"},
    )  # fmt: skip
    assert set(own.frame().kind) == {"last"}
    assert set(own.frame().secret.str.len()) == {2}


def test_importing_modiva_loads_nothing_and_names_its_functions():
    program = """
        import sys
        before = set(sys.modules)
        import modiva
        loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(*sorted(loaded & {"attacks", "canaries", "numpy", "pandas", "torch", "tyro"}))
        print(*(name for name in modiva.__all__ if name not in dir(modiva)))
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert told.stdout.split() == []
