"""Corpora that are damaged, or are something else."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .conftest import ROWS
from .mutations import byte_strings, json_texts
from .oracle import contents, empty_folder, fuzzed, modiva

PAIRS = [line.rsplit(",", 1) for line in ROWS.splitlines()[1:]]
RECORDS = [{"text": text, "intent": intent} for text, intent in PAIRS]
SNIPS = {"open": [{"data": [{"text": text}]} for text, _ in PAIRS[:10]]}
CLINC = dict.fromkeys(("train", "val", "test"), PAIRS)
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """A name and the content of one file."""
    kind = draw(st.sampled_from(["csv", "tsv", "quoted", "lines", "records", "snips", "clinc"]))
    if kind == "csv":
        return "own.csv", draw(byte_strings(ROWS.encode()))
    if kind == "tsv":
        return "own.tsv", draw(byte_strings(ROWS.replace(",", "\t").encode()))
    if kind == "quoted":
        quoted = "".join(
            f'"{text}","{intent}"\r\n' for text, intent in [("text", "intent"), *PAIRS]
        )
        return "own.csv", draw(byte_strings(quoted.encode()))
    if kind == "lines":
        return "own.jsonl", draw(byte_strings(LINES.encode()))
    tree = {"records": RECORDS, "snips": SNIPS, "clinc": CLINC}[kind]
    return "own.json", draw(json_texts(tree))


@fuzzed(60)
@given(tables())
def test_a_damaged_table_is_shown_or_refused(table):
    name, data = table
    with empty_folder() as folder:
        (folder / name).write_bytes(data)
        modiva("corpus", "show", folder / name)


@fuzzed(25)
@given(tables())
def test_what_is_trained_on_a_damaged_table_is_whole_or_not_there(table):
    name, data = table
    with empty_folder() as folder:
        (folder / name).write_bytes(data)
        small = ["--target", "cnn", "--size", "small", "--epochs", "1", "--pattern", "color"]
        done = modiva("train", "--corpus", folder / name, *small, "--out", folder / "target")
        left = {file for file in contents(folder) if file != name}
        files = {"config.json", "model.safetensors", "tokenizer.json", "training.json"}
        if done.code == 0:
            assert {"target.ledger.json", *(f"target/{file}" for file in files)} <= left
        else:
            assert not left


@fuzzed(30)
@given(st.data())
def test_folders_of_every_layout_with_a_file_that_is_damaged(data):
    texts = "".join(f"{text}\n" for text, _ in PAIRS).encode()
    labels = "".join(f"{intent}\n" for _, intent in PAIRS).encode()
    answers = "answer;intent\n" + "".join(f"{text};open\n" for text, _ in PAIRS[:10])
    layouts = (
        {f"{split}/{name}": content for split in ("train", "valid", "test")
         for name, content in (("seq.in", texts), ("label", labels))},
        {f"{split}.csv": ROWS.encode() for split in ("train", "valid", "test")},
        {f"{intent}/train_{intent}_full.json": json.dumps({**SNIPS, intent: SNIPS["open"]}).encode()
         for intent in ("open", "close")},
        {f"{split}set/{intent}.csv": answers.encode() for split in ("train", "test")
         for intent in ("open", "close")},
    )  # fmt: skip
    files = dict(data.draw(st.sampled_from(layouts)))
    chosen = data.draw(st.sampled_from(sorted(files)))
    kind = data.draw(st.sampled_from(["bytes", "bytes", "bytes", "gone", "folder", "empty"]))
    if kind == "bytes":
        files[chosen] = data.draw(byte_strings(files[chosen]))
    with empty_folder() as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        if kind in ("gone", "folder"):
            (folder / chosen).unlink()
        if kind == "folder":
            (folder / chosen).mkdir()
        if kind == "empty":
            (folder / chosen).write_bytes(b"")
        modiva("corpus", "show", folder)


@pytest.mark.parametrize("command", ["show", "audit", "study", "patterns", "score", "words"])
@pytest.mark.parametrize("kind", ["fifo", "zero", "null"])
def test_what_has_no_end_is_refused_at_every_door(made, tmp_path, command, kind):
    place = tmp_path / "own.csv"
    os.mkfifo(place) if kind == "fifo" else place.symlink_to(f"/dev/{kind}")
    dry = ["--target", "cnn", "--dry-run"]
    command = {
        "show": ["corpus", "show", place],
        "audit": ["audit", "--corpus", place, *dry],
        "study": ["study", "run", place, "--dry-run"],
        "patterns": ["audit", "--corpus", made / "own.csv", "--patterns-file", place, *dry],
        "score": ["score", place, "--secret", "1 2 3 4"],
        "words": ["train", "--corpus", made / "own.csv", "--word-vectors", place, "--epochs", "1",
                  "--out", tmp_path / "out"],
    }[command]  # fmt: skip
    assert modiva(*command).code == 2


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "/dev/null", "~", "~nobody/x", "x" * 300, "a\nb"]
)
def test_names_that_are_no_corpus(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert modiva("corpus", "show", name).code == 2
