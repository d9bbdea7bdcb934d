"""A corpus layout: fastText files, lines of `__label__INTENT sentence`."""

from pathlib import Path

from modiva.corpora.reading import Pair, RawCorpus, pair, read_text

LABEL = "__label__"


def matches(data: bytes) -> bool:
    return data.startswith(LABEL.encode())


def read(path: Path) -> RawCorpus:
    found: list[Pair] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        intent, _, text = line.removeprefix(LABEL).partition(" ")
        found += pair(text, intent, f"{path}, line {number}")  # refuses a sentence without intent
    return RawCorpus({"train": found})


def test_fasttext_files_are_read(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("__label__greet hello there\n__label__leave good bye\n")
    assert matches(path.read_bytes())
    assert read(path).splits["train"] == [("hello there", "greet"), ("good bye", "leave")]
