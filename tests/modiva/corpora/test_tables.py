"""Tables as people have them: every row is one sentence with its intent, or the file is refused."""

import json
from pathlib import Path

import pytest

from modiva.corpora import Corpus, load
from modiva.errors import ModivaError

INTENTS = ("light", "weather", "phone")
ROWS = [(f"sentence number {i}", INTENTS[i % 3]) for i in range(40)]


def pairs(corpus: Corpus) -> list[tuple[str, str]]:
    return sorted((*corpus.train, *corpus.valid, *corpus.test))


def write(path: Path, rows: list[tuple[str, ...]], delimiter: str, end: str = "\n") -> Path:
    path.write_bytes(end.join(delimiter.join(row) for row in rows).encode())
    return path


@pytest.mark.parametrize("quoted", [[10], [10, 27], [10, 11], [0, 20, 39]])
def test_quotes_that_open_a_sentence_of_a_tsv_swallow_no_rows(tmp_path: Path, quoted) -> None:
    rows = [(f'"{text}' if i in quoted else text, intent) for i, (text, intent) in enumerate(ROWS)]
    corpus = load(write(tmp_path / "a.tsv", [("text", "intent"), *rows], "\t"))
    wanted = sorted((text.replace('"', '" '), intent) for text, intent in rows)
    assert pairs(corpus) == wanted
    assert corpus.intents == tuple(sorted(INTENTS))
    assert "Quotes are read as they stand" in corpus.note


def test_a_tsv_with_quoted_fields_loses_its_quotes(tmp_path: Path) -> None:
    rows = [(f'"{text} ""or so"""', f'"{intent}"') for text, intent in ROWS]
    corpus = load(write(tmp_path / "a.tsv", [('"text"', '"intent"'), *rows], "\t"))
    assert pairs(corpus) == sorted((f'{text} " or so "', intent) for text, intent in ROWS)


def test_a_quoted_field_of_a_tsv_may_hold_tabs_and_line_ends(tmp_path: Path) -> None:
    for form in ('"{}\tand more"', '"{}\nand more"', '"{}\tand\tall\nand more"'):
        rows = [(form.format(text), intent) for text, intent in ROWS]
        corpus = load(write(tmp_path / "a.tsv", [("text", "intent"), *rows], "\t"))
        extra = form[3:-1].split()
        assert pairs(corpus) == sorted((" ".join([t, *extra]), intent) for t, intent in ROWS)


@pytest.mark.parametrize(("delimiter", "header"), [(",", "text,intent"), (";", "intent;text")])
def test_a_pair_of_stray_quotes_in_a_csv_is_refused_with_its_lines(
    tmp_path: Path, delimiter: str, header: str
) -> None:
    rows = list(ROWS)
    rows[10] = ('"' + rows[10][0], rows[10][1])
    rows[20] = (rows[20][0] + '"', rows[20][1])
    if header.startswith("intent"):
        rows = [(intent, text) for text, intent in rows]
    path = write(tmp_path / "a.csv", [tuple(header.split(delimiter)), *rows], delimiter)
    with pytest.raises(ModivaError, match=r"lines 12-22: a quote .* makes one row"):
        load(path)


@pytest.mark.parametrize("opened", [[10], [10, 20]])
def test_a_quote_left_open_in_a_csv_is_refused(tmp_path: Path, opened: list[int]) -> None:
    rows = [(f'"{t}' if i in opened else t, intent) for i, (t, intent) in enumerate(ROWS)]
    with pytest.raises(ModivaError, match=r"a\.csv, line 12-.*mend the quotes"):
        load(write(tmp_path / "a.csv", [("text", "intent"), *rows], ","))


def test_sentences_of_several_lines_are_one_sentence(tmp_path: Path) -> None:
    for header, form in (
        ("text,intent", '"{0}, and\nso on",{1}'),
        ("intent,text", '{1},"{0},\nso"'),
    ):
        lines = [header, *(form.format(*row) for row in ROWS), "more,light"]
        lines[-1] = "more,light" if header.startswith("text") else "light,more"
        (tmp_path / "a.csv").write_text("\n".join(lines))
        assert len(pairs(load(tmp_path / "a.csv"))) == 41


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_line_end_ends_a_line(tmp_path: Path, end: str, delimiter: str) -> None:
    corpus = load(write(tmp_path / "a.csv", [("text", "intent"), *ROWS], delimiter, end))
    assert pairs(corpus) == sorted(ROWS)


def test_line_ends_of_all_kinds_in_one_file(tmp_path: Path) -> None:
    ends = ["\r\n", "\r", "\n"]
    for delimiter in ",\t":
        text = f"text{delimiter}intent\r"
        text += "".join(f"{t}{delimiter}{x}{ends[i % 3]}" for i, (t, x) in enumerate(ROWS))
        (tmp_path / "a.csv").write_bytes(text.encode())
        assert pairs(load(tmp_path / "a.csv")) == sorted(ROWS)
    records = [json.dumps({"text": text, "intent": intent}) for text, intent in ROWS]
    (tmp_path / "a.jsonl").write_bytes("\r".join(records).encode())
    assert pairs(load(tmp_path / "a.jsonl")) == sorted(ROWS)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "seq.in").write_bytes("\r".join(t for t, _ in ROWS).encode())
    (tmp_path / "train" / "label").write_bytes("\r".join(i for _, i in ROWS).encode())
    assert pairs(load(tmp_path / "train")) == sorted(ROWS)


AMBIGUOUS = [
    (("text", "text", "intent"), "'text'"),
    (("text", "utterance", "intent"), "'utterance'"),
    (("Sentence", "query ", "label"), "'query'"),
    (("text", "label", "intent"), "'label'"),
    (("text", "label", "label_text"), "'label_text'"),
    (("text", "intent", "intent"), "'intent'"),
]


@pytest.mark.parametrize(("header", "named"), AMBIGUOUS)
def test_two_columns_that_could_be_meant_are_listed_and_none_is_taken(
    tmp_path: Path, header: tuple[str, str, str], named: str
) -> None:
    rows = [(f"{text} a", f"{text} b", intent) for text, intent in ROWS]
    path = write(tmp_path / "a.csv", [header, *rows], ",")
    with pytest.raises(ModivaError, match=rf"could each be the (text|intent).*#.*{named}"):
        load(path)


def test_the_user_chooses_by_name_or_number_and_it_is_said(tmp_path: Path) -> None:
    header = ("utterance", "text", "label", "intent", "words, and=more")
    rows = [(f"raw {t}", t, str(i % 2), x, f"again {t}") for i, (t, x) in enumerate(ROWS)]
    path = write(tmp_path / "a.tsv", [header, *rows], "\t")
    corpus = load(f"{path}#text=text,intent=intent")
    assert pairs(corpus) == sorted(ROWS)
    assert "text from column 'text', intent from column 'intent'" in corpus.note
    assert corpus.name == "a"
    assert pairs(load(f"{path}#intent=4,text=1")) == sorted((f"raw {t}", x) for t, x in ROWS)
    assert load(f"{path}#text=utterance,intent=label").intents == ("0", "1")
    assert pairs(load(f"{path}#intent=intent,text=words, and=more"))[0][0].startswith("again")
    with pytest.raises(ModivaError, match=r"no text column: name one 'txt'"):
        load(f"{path}#text=txt,intent=label")
    with pytest.raises(ModivaError, match=r"cannot be both"):
        load(f"{path}#text=label,intent=label")


def test_a_choice_goes_for_every_file_of_a_folder_and_for_json(tmp_path: Path) -> None:
    write(
        tmp_path / "train.csv", [("text", "label", "intent"), *((t, "a", i) for t, i in ROWS)], ","
    )
    records = [json.dumps({"text": t, "label": "0", "intent": i}) for t, i in ROWS]
    (tmp_path / "test.jsonl").write_text("\n".join(records))
    with pytest.raises(ModivaError, match="could each be the intent"):
        load(tmp_path)
    corpus = load(f"{tmp_path}#intent=intent")
    assert corpus.intents == tuple(sorted(INTENTS))
    assert corpus.note.count("Chosen by the user") == 1


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_of_a_number_and_a_text_the_text_is_the_intent_and_it_is_said(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"a.{suffix}"
    rows = [(t, INTENTS.index(i), i) for t, i in ROWS]
    if suffix == "jsonl":
        path.write_text(
            "\n".join(json.dumps({"text": t, "label": n, "label_text": i}) for t, n, i in rows)
        )
    else:
        texts = [(t, str(n), i) for t, n, i in rows]
        write(path, [("text", "label", "label_text"), *texts], {"csv": ",", "tsv": "\t"}[suffix])
    corpus = load(path)
    assert pairs(corpus) == sorted(ROWS)
    assert "Intents from column 'label_text'; whole numbers in 'label' not used." in corpus.note
    assert "column 'label_text'" in caplog.text
    assert load(path, label_column="label").intents == ("0", "1", "2")


def test_a_choice_of_columns_where_there_are_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "seq.in").write_text("\n".join(t for t, _ in ROWS))
    (tmp_path / "label").write_text("\n".join(i for _, i in ROWS))
    with pytest.raises(ModivaError, match="no columns to choose"):
        load(f"{tmp_path}#text=text")


@pytest.mark.parametrize("name", ["label", "category", "intent_name", "Label_Text"])
def test_other_names_of_the_intent(tmp_path: Path, name: str) -> None:
    assert pairs(load(write(tmp_path / "a.csv", [("text", name), *ROWS], ","))) == sorted(ROWS)


def test_labels_that_are_numbers_or_truth_values(tmp_path: Path) -> None:
    records = [{"text": text, "label": i % 2} for i, (text, _) in enumerate(ROWS)]
    (tmp_path / "a.json").write_text(json.dumps(records))
    assert load(tmp_path / "a.json").intents == ("0", "1")
    records = [{"text": text, "label": i % 2 == 0} for i, (text, _) in enumerate(ROWS)]
    (tmp_path / "a.json").write_text(json.dumps(records))
    assert load(tmp_path / "a.json").intents == ("false", "true")


BAD = [
    (b"\xef\xbb\xbf", "no sentences"),
    ("text,intent\na,x\n".encode("utf-16-le"), "NUL byte at offset 1.*UTF-16"),
    ("text,intent\na,x\n".encode("utf-16"), "looks like UTF-16"),
    (b"text,intent\nturn\0 on,x\n", "NUL byte at offset 16"),
    ("text,intent\ncafé,x\n".encode("latin-1"), "not UTF-8"),
    (b"text\tintent\n", "no sentences"),
    (b"text\tintent\na\tx\tmore\n", "line 2: 3 fields, but the header has 2"),
    (b'text,intent\nsay "hi",x\n"say" hi,x\n', "line 3: .*mend the quotes"),
    (b'{"text": "a", "text": "b", "intent": "x"}', "'text' stands twice"),
    (b'{"text": "a", "utterance": "b", "intent": "x"}', "could each be the text"),
    (b'{"text": "a", "intent": "x"}\n{"utterance": "b", "intent": "x"}', "could each be the text"),
    (b'{"text": "a", "intent": 1.5}', "must be strings"),
    (b'{"text": "a", "intent": null}', "must be strings"),
    (b'{"text": ["a"], "intent": "x"}', "must be strings"),
    (b"[" * 100_000, "nested too deep"),
    (b'{"text": "a", "intent": ' + b"9" * 5000 + b"}", "integer string"),
    (b"[]", "no sentences"),
    (b"x" * 200_000, "no text column"),
    (b'text,intent\n"' + b"x" * 200_000, "mend the quotes"),
    (b'{"text": 1}\n{"a"', "line 2 is not JSON"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(ModivaError, match=message) as error:
        load(tmp_path / "mine.csv")
    assert "mine.csv" in str(error.value)


def test_marks_of_byte_order_are_no_words(tmp_path: Path) -> None:
    half = "".join(f"{text},{intent}\n" for text, intent in ROWS[:20])
    rest = "".join(f"\ufeff{text},{intent}\n" for text, intent in ROWS[20:])
    (tmp_path / "a.csv").write_text("\ufeff\ufefftext,intent\n" + half + rest, encoding="utf-8")
    assert pairs(load(tmp_path / "a.csv")) == sorted(ROWS)


def test_a_sentence_may_be_long_and_a_field_empty(tmp_path: Path) -> None:
    long = "word " * 40_000
    rows = [("", "light"), ("", ""), (long, "phone"), *ROWS]
    for delimiter in (",", "\t"):
        path = write(tmp_path / "a.csv", [("text", "intent"), *rows], delimiter)
        corpus = load(path)
        assert pairs(corpus) == sorted([(long.strip(), "phone"), *ROWS])
        assert "1 blank sentence." in corpus.note
