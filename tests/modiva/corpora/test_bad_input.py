"""Data that cannot be a corpus is refused with its place and the remedy."""

import json
from pathlib import Path

import pytest

from modiva.corpora import describe, load, names
from modiva.errors import ModivaError

GOOD = "text,intent\n" + "".join(f"sentence {i},i{i % 2}\n" for i in range(60))


@pytest.mark.parametrize("call", [load, describe])
def test_an_unknown_name_lists_the_known_ones(call: object) -> None:
    with pytest.raises(ModivaError) as error:
        call("atis")  # type: ignore[operator]
    assert "'atis'" in str(error.value)
    assert all(name in str(error.value) for name in names())


def test_a_path_that_does_not_exist_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(ModivaError, match=r"no file or folder .*missing\.csv"):
        load(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"text,intent\n", "holds no sentences"),
        (b"text,intent\na,x\nb,x\n", "one intent only.*'x'"),
        (b"text,kind\na,x\n", "no intent column.*'text', 'kind'"),
        (b"words,intent\na,x\n", "no text column.*'words', 'intent'"),
        (b"text,intent\na\xff,x\n", "byte 0xff at offset 13 is not UTF-8"),
        (GOOD.encode("utf-16"), "byte 0xff at offset 0 is not UTF-8"),
        (b"text,intent\na, b,x\n", "line 2: 3 fields, but the header has 2"),
        (b"text,intent\nring the bell,\n", "line 2: .*'ring the bell' has no intent"),
        (b"text,intent\na,x\nb,y\n", "too few to hold out"),
        (b'{"text": "a", "intent": "x"}\n{"text": "b"}\n', "record 2 has no intent column"),
        (b'{"text": "a", "intent": "x"}\n{"text": \n', "line 2 is not JSON"),
        (b'{"text": "a", "intent": "x"}\n[1]\n', "record 2 is not an object"),
        (b'[{"text": 3, "intent": "x"}]', "must be strings"),
        (b'{"train": [["a", "x"], ["b"]]}', r"entry 1 of 'train' is \['b'\]"),
        (b'{"x": [{"data": [{"txt": "a"}]}]}', "not of the SNIPS layout"),
        (b'{"text": "caf\xe9", "intent": "x"}\n', "byte 0xe9 at offset 13"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(ModivaError, match=message) as error:
        load(tmp_path / "mine.csv")
    assert "mine.csv" in str(error.value)


def seq_in(folder: Path, sentences: str, labels: str | None) -> None:
    folder.mkdir(parents=True)
    (folder / "seq.in").write_text(sentences)
    if labels is not None:
        (folder / "label").write_text(labels)


def test_as_many_labels_as_sentences(tmp_path: Path) -> None:
    seq_in(tmp_path / "train", "a\nb\nc\n", "x\ny\n")
    with pytest.raises(ModivaError, match=r"seq\.in has 3 lines and label 2"):
        load(tmp_path)


def test_sentences_without_labels(tmp_path: Path) -> None:
    seq_in(tmp_path / "train", "a\nb\n", None)
    with pytest.raises(ModivaError, match="no labels"):
        load(tmp_path)


def test_a_missing_train_split_and_a_doubled_one(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(GOOD)
    with pytest.raises(ModivaError, match="no train split"):
        load(tmp_path)
    (tmp_path / "train.csv").write_text(GOOD)
    (tmp_path / "dev.csv").write_text(GOOD)
    (tmp_path / "valid.tsv").write_text(GOOD)
    with pytest.raises(ModivaError, match=r"both dev\.csv and valid\.tsv"):
        load(tmp_path)


def test_an_empty_split_file_is_not_a_missing_split(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(GOOD)
    (tmp_path / "test.csv").write_text("")
    with pytest.raises(ModivaError, match=r"test\.csv is empty"):
        load(tmp_path)


def test_a_folder_of_no_known_layout_says_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(ModivaError, match="holds: nothing"):
        load(tmp_path)
    (tmp_path / "readme.md").write_text("hello")
    with pytest.raises(ModivaError, match=r"holds: readme\.md\. .*seq\.in"):
        load(tmp_path)


def test_an_hwu64_file_without_answers_names_its_columns(tmp_path: Path) -> None:
    for intent in ("a", "b"):
        (tmp_path / f"{intent}.csv").write_text("id;sentence\n1;hello\n")
    with pytest.raises(ModivaError, match="columns found: id, sentence"):
        load(tmp_path)


def test_a_broken_snips_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "train_A_full.json").write_text(json.dumps({"A": [{"data": []}]})[:-2])
    with pytest.raises(ModivaError, match=r"train_A_full\.json is not JSON"):
        load(tmp_path)
