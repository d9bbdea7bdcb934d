"""Each layout is told by its content and read to the same sentences and intents."""

import json
from collections import Counter
from pathlib import Path

import pytest

from modiva.corpora import load
from modiva.corpora.corpus import Example
from modiva.errors import ModivaError

ROWS = [(f"Switch {'on' if i % 2 else 'off'} lamp {i}!", f"turn_{i % 2}") for i in range(60)]
WANTED = sorted(Example(text.lower().replace("!", " !"), intent) for text, intent in ROWS)


def every_example(path: Path) -> list[Example]:
    corpus = load(str(path))
    return sorted(corpus.train + corpus.valid + corpus.test)


def table(delimiter: str, header: str, rows: list[tuple[str, str]] = ROWS) -> str:
    return "\n".join([header, *(f'"{text}"{delimiter}{intent}' for text, intent in rows)])


def test_delimited_files_need_only_the_two_columns(tmp_path: Path) -> None:
    for name, delimiter, header in (
        ("a.csv", ",", "text,intent"),
        ("b.tsv", "\t", "Utterance\tLabel"),
        ("c.csv", ";", "sentence;category"),
        ("d.txt", "\t", "query\tintent"),
    ):
        (tmp_path / name).write_text(table(delimiter, header))
        assert every_example(tmp_path / name) == WANTED


def test_other_columns_quoted_delimiters_bom_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    lines = ["id,intent,text", *(f'{i},{intent},"{text}"' for i, (text, intent) in enumerate(ROWS))]
    lines[1] = '0,turn_0,"switch off, ""lamp"" 0"'
    (tmp_path / "a.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    found = every_example(tmp_path / "a.csv")
    assert Example('switch off , " lamp " 0', "turn_0") in found
    assert len(found) == 60


def test_json_lines_and_a_json_list_of_objects(tmp_path: Path) -> None:
    records = [{"text": text, "label": intent, "id": 7} for text, intent in ROWS]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n\n")
    (tmp_path / "b.json").write_text(json.dumps(records, indent=1))
    assert every_example(tmp_path / "a.jsonl") == WANTED
    assert every_example(tmp_path / "b.json") == WANTED


def test_a_folder_of_split_files_keeps_its_splits(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(table(",", "text,intent", ROWS[:40]))
    (tmp_path / "dev.tsv").write_text(table("\t", "text\tintent", ROWS[40:50]))
    (tmp_path / "test.jsonl").write_text(
        "\n".join(json.dumps({"text": t, "intent": i}) for t, i in ROWS[50:])
    )
    corpus = load(tmp_path)
    assert [len(s) for s in (corpus.train, corpus.valid, corpus.test)] == [40, 10, 10]
    assert corpus.note == ""


@pytest.mark.parametrize(("valid", "label"), [("valid", "label"), ("dev", "labels")])
def test_seq_in_folders(tmp_path: Path, valid: str, label: str) -> None:
    cuts = {"train": ROWS[:40], valid: ROWS[40:50], "test": ROWS[50:]}
    for split, rows in cuts.items():
        (tmp_path / split).mkdir()
        (tmp_path / split / "seq.in").write_text("\n".join(t for t, _ in rows) + "\n")
        (tmp_path / split / label).write_text("\n".join(i for _, i in rows))
    assert every_example(tmp_path) == WANTED
    assert every_example(tmp_path / "train") == sorted(load(tmp_path).train)


@pytest.mark.parametrize("train", ["trainset", "train"])
def test_hwu64_folders_take_the_intent_from_the_file_name(tmp_path: Path, train: str) -> None:
    header = "answerid;scenario;intent;answer_annotation;answer_from_anno;answer_from_user"
    for folder, rows in ((tmp_path / train, ROWS[:40]), (tmp_path / "testset/csv", ROWS[40:])):
        folder.mkdir(parents=True)
        for intent in ("turn_0", "turn_1"):
            lines = [f'1;{t[-1]};b;"[x : {t}]";"{t}";"{t} PDA;"' for t, i in rows if i == intent]
            (folder / f"{intent}.csv").write_text("\n".join([header, *lines]))
    assert every_example(tmp_path) == WANTED
    corpus = load(tmp_path)
    assert len(corpus.test) == 20
    assert "valid held out" in corpus.note
    beside = load(tmp_path, beside=("scenario",))
    assert all(one.beside["scenario"] == one.text[-1] for one in (*beside.train, *beside.test))
    assert beside.fingerprint == corpus.fingerprint


def test_clinc150_leaves_out_of_scope_queries_out_and_says_so(tmp_path: Path) -> None:
    value = {
        "oos_train": [["who let the dogs out", "oos"]],
        "train": ROWS[:40],
        "val": ROWS[40:50],
        "test": ROWS[50:],
    }
    (tmp_path / "data_full.json").write_text(json.dumps(value))
    corpus = load(tmp_path / "data_full.json")
    assert corpus.intents == ("turn_0", "turn_1")
    assert [len(s) for s in (corpus.train, corpus.valid, corpus.test)] == [40, 10, 10]
    assert corpus.note.startswith("1 out-of-scope")


def test_blank_sentences_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table(",", "text,intent", [*ROWS, ("  ", "turn_0")]))
    corpus = load(tmp_path / "a.csv")
    assert sorted(corpus.train + corpus.valid + corpus.test) == WANTED
    assert "1 blank" in corpus.note


def test_original_snips_and_its_file_that_is_not_quite_utf_8(corpora: Path) -> None:
    corpus = load(corpora / "snips_original")
    assert len(corpus.train) + len(corpus.valid) == 13784
    assert set(Counter(e.intent for e in corpus.test).values()) == {100}
    assert len(corpus.intents) == 7
    music = [e.text for e in corpus.train + corpus.valid if e.intent == "PlayMusic"]
    assert any("pop punk perfection \N{SLICE OF PIZZA}" in text for text in music)
    assert any("música" in text for text in music)
    assert not any("ã©" in text or "ã ±" in text for text in music)
    assert "train_PlayMusic_full.json is read as CESU-8" in corpus.note


def test_a_latin_1_snips_file_is_read_as_such(tmp_path: Path) -> None:
    for intent in ("A", "B"):
        (tmp_path / intent).mkdir()
        rows = [{"data": [{"text": f"héllo {i} "}, {"text": intent}]} for i in range(30)]
        text = json.dumps({intent: rows}, ensure_ascii=False)
        (tmp_path / intent / f"train_{intent}_full.json").write_bytes(text.encode("latin-1"))
        (tmp_path / intent / f"train_{intent}.json").write_text(json.dumps({intent: rows[:3]}))
    corpus = load(tmp_path)
    assert len(corpus.train + corpus.valid + corpus.test) == 60
    assert corpus.train[0].text.startswith("héllo")
    assert "Latin-1" in corpus.note


def test_one_snips_file_has_one_intent(corpora: Path) -> None:
    one = corpora / "snips_original" / "RateBook" / "validate_RateBook.json"
    with pytest.raises(ModivaError, match="one intent only"):
        load(one)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("hwu64", (8954, 1076, 1076, 64)), ("slotgated_snips", (13084, 700, 700, 7))],
)
def test_published_seq_in_corpora(corpora: Path, name: str, sizes: tuple[int, ...]) -> None:
    corpus = load(corpora / name)
    assert (len(corpus.train), len(corpus.valid), len(corpus.test), len(corpus.intents)) == sizes
