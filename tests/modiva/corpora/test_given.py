"""The same sentences are the same corpus, whatever holds them: lists, frames, data sets, Arrow."""

import pickle
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from canaries import Planting, get_pattern, plant
from modiva.corpora import Corpus, load, read_pairs
from modiva.errors import ModivaError

INTENTS = ["light", "phone", "weather"]
ROWS = [(f"Sentence number {i}!", INTENTS[i % 3]) for i in range(40)]
COLUMNS = {"text": [t for t, _ in ROWS], "label": [i for _, i in ROWS]}
NUMBERS = {**COLUMNS, "label": [INTENTS.index(i) for _, i in ROWS]}
FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=INTENTS)}
)


def data_set() -> datasets.Dataset:
    return datasets.Dataset.from_dict(NUMBERS, features=FEATURES)


FORMS: dict[str, Any] = {
    "pairs": ROWS,
    "records": [{"utterance": t, "intent": i} for t, i in ROWS],
    "columns": COLUMNS,
    "frame": pd.DataFrame(COLUMNS, index=range(100, 140)),
    "categories": pd.DataFrame(COLUMNS).astype({"label": "category"}),
    "data set": data_set(),
}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load(ROWS)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_program_holds_is_read(form: str, corpus: Corpus) -> None:
    assert load(FORMS[form]).fingerprint == corpus.fingerprint
    assert read_pairs(FORMS[form]) == ROWS


def save(folder: Path, form: str) -> Path:
    path = folder / "saved"
    data = data_set()
    if form == "folder":
        data.save_to_disk(path)
    elif form == "shards":
        data.save_to_disk(path, num_shards=3)
    elif form == "parquet":
        data.to_parquet(path)
    elif form == "pandas":
        pd.DataFrame(COLUMNS).to_parquet(path)
    else:
        table = pyarrow.table(COLUMNS)
        with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(
            sink, table.schema
        ) as file:  # fmt: skip
            file.write_table(table)
    return path


@pytest.mark.parametrize("form", ["folder", "shards", "parquet", "pandas", "arrow"])
def test_saved_data_sets_are_read_with_the_names_of_classes(
    form: str, corpus: Corpus, tmp_path: Path
) -> None:
    path = save(tmp_path, form)
    assert load(path).fingerprint == corpus.fingerprint
    assert read_pairs(path) == ROWS


def test_splits_are_kept_in_memory_and_on_disk(tmp_path: Path) -> None:
    whole = data_set()
    parts = datasets.DatasetDict(
        train=whole.select(range(30)),
        validation=whole.select(range(30, 34)),
        test=whole.select(range(34, 40)),
    )
    parts.save_to_disk(tmp_path / "saved")
    corpora = [
        load(parts),
        load(tmp_path / "saved"),
        load({"train": ROWS[:30], "dev": FORMS["frame"].iloc[30:34], "test": ROWS[34:]}),
    ]
    assert len({corpus.fingerprint for corpus in corpora}) == 1
    assert [len(corpora[0].train), len(corpora[0].valid), len(corpora[0].test)] == [30, 4, 6]
    with pytest.raises(ModivaError, match="holds the splits train, valid, test"):
        read_pairs(parts)
    with pytest.raises(ModivaError, match="the splits validation, test: give train"):
        load({"validation": ROWS, "test": ROWS})


def test_of_a_class_number_and_a_text_the_text_is_taken_and_it_is_said(tmp_path: Path) -> None:
    data = data_set().add_column("label_text", [i.upper() for _, i in ROWS])
    data.save_to_disk(tmp_path / "saved")
    for corpus in (load(data), load(tmp_path / "saved")):
        assert corpus.intents == tuple(i.upper() for i in INTENTS)
        assert "Intents from column 'label_text'" in corpus.note
    assert load(data, label_column="label").intents == tuple(INTENTS)


def test_a_row_without_a_class_has_no_name_of_one(tmp_path: Path) -> None:
    """Data sets mark such rows by -1, which counts from the end of Python's lists."""
    numbers = {**NUMBERS, "label": [-1, *NUMBERS["label"][1:]]}
    data = datasets.Dataset.from_dict(numbers, features=FEATURES)
    data.save_to_disk(tmp_path / "saved")
    for source in (data, tmp_path / "saved"):
        assert read_pairs(source) == [(ROWS[0][0], "-1"), *ROWS[1:]]
    assert read_pairs(data_set().with_format("torch")) == ROWS


def test_columns_are_chosen_by_name() -> None:
    frame = pd.DataFrame(COLUMNS).rename(columns={"text": "body", "label": "topic"})
    assert read_pairs(frame, text_column="body", label_column="topic") == ROWS
    with pytest.raises(ModivaError, match=r"the data has no text column.*'body', 'topic'"):
        load(frame)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (7, "the data is int, with no texts and labels: give a list of"),
        (["hello", "there"], "the data is list, with no texts"),
        ([], "the data is list, with no texts"),
        ([("hello", "a"), ("there", None)], "the data, row 2: 'text' and 'intent' must be strings"),
        ([("hello", "a"), ("there", 1.5)], "the data, row 2"),
        ([("hello", "a"), (b"there", "b")], "the data, row 2"),
        ({"text": ["a"], "label": []}, "its columns text, label differ in length"),
        (pd.DataFrame({"text": ["a", None], "label": ["x", "y"]}), "the data, row 2"),
    ],
)
def test_what_is_no_corpus_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ModivaError, match=message):
        load(data)


@pytest.mark.parametrize("damage", ["state.json", "data-00000-of-00001.arrow"])
def test_damaged_data_sets_are_refused(damage: str, tmp_path: Path) -> None:
    path = save(tmp_path, "folder")
    (path / damage).write_bytes(b"\xff\xff\xff\xff{")
    with pytest.raises(ModivaError, match=r"cannot be read .*: save"):
        load(path)


def test_a_parquet_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ModivaError, match="saved cannot be read"):
        load(path)


LOCALES = ["en", "de", None, "sw"] * 10
WITH_LOCALE: dict[str, Any] = {
    "frame": pd.DataFrame({**COLUMNS, "Locale": LOCALES}),
    "columns": {**COLUMNS, "locale": LOCALES},
    "records": [
        {"text": t, "intent": i, "locale": x} for (t, i), x in zip(ROWS, LOCALES, strict=True)
    ],
    "data set": datasets.Dataset.from_dict({**COLUMNS, "locale": LOCALES}),
}  # fmt: skip


def save_with_locale(folder: Path, form: str) -> Path:
    frame = WITH_LOCALE["frame"]
    path = folder / f"own.{form}"
    if form in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="," if form == "csv" else "\t")
    elif form == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif form == "parquet":
        frame.to_parquet(path)
    else:
        WITH_LOCALE["data set"].save_to_disk(path)
    return path


@pytest.mark.parametrize("form", [*WITH_LOCALE, "csv", "tsv", "jsonl", "parquet", "arrow"])
def test_a_column_stands_beside_its_sentence_in_every_split(
    form: str, corpus: Corpus, tmp_path: Path
) -> None:
    source = WITH_LOCALE[form] if form in WITH_LOCALE else save_with_locale(tmp_path, form)
    found = load(source, beside=("locale",))
    wanted = {f"sentence number {i} !": x or "" for i, x in enumerate(LOCALES)}
    whole = (*found.train, *found.valid, *found.test)
    assert {one.text: one.beside["locale"] for one in whole} == wanted
    assert found.fingerprint == corpus.fingerprint  # the same sentences: nothing is trained again
    assert {one.beside["locale"] for one in found.subset(10, seed=0).train} <= {*wanted.values()}
    assert load(source).test[0].beside == {}
    copied = pickle.loads(pickle.dumps(found.test))  # to worker processes
    assert [one.beside for one in copied] == [one.beside for one in found.test]


def test_a_column_stands_beside_its_sentence_after_planting(tmp_path: Path) -> None:
    found = load(WITH_LOCALE["frame"], beside=("locale",))
    planting = Planting(get_pattern("pin"), 3, "phone")
    planted = plant(found.train, found.valid, [planting], seed=0)
    kept = [(one, one.beside) for one in planted.train if hasattr(one, "beside")]
    assert sorted(kept, key=str) == sorted(((one, one.beside) for one in found.train), key=str)


@pytest.mark.parametrize("source", ["home-assistant", ROWS, "given"])
def test_a_column_that_there_is_not_is_refused_by_its_name(source: Any, tmp_path: Path) -> None:
    if source == "given":
        (tmp_path / "seq.in").write_text("\n".join(text for text, _ in ROWS))
        (tmp_path / "label").write_text("\n".join(intent for _, intent in ROWS))
        source = tmp_path
    with pytest.raises(ModivaError, match=r"'locale'"):
        load(source, beside=("locale",))
