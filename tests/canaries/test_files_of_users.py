"""Files of users: regular, bounded, and numbers that every reader takes for the same."""

import os
import time

import pytest

from canaries import CanaryError, load_patterns
from canaries.reading import LARGEST_YAML, parse_yaml, quote, read_bytes, read_yaml, shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E3", 1000.0), ("2.5e0", 2.5), (".5", 0.5), ("5.", 5.0), ("0", 0),
        ("-3", -3), ("+3", 3), ("'010'", "010"), ("1,100", "1,100"), ("pin:6", "pin:6"),
        ("2001-01-01", "2001-01-01"), ("192.168.0.1", "192.168.0.1"), (".inf", float("inf")),
    ],
)  # fmt: skip
def test_a_number_is_what_a_reader_sees(text, value):
    found = parse_yaml(f"x: {text}")["x"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    ["010", "089", "007.5", "1:30", "12:30:45", "1_000", "0x1f", "0o10", "0b11", "!!int 010",
     "!!float 1:30", "!!int x"],
)  # fmt: skip
def test_what_versions_of_yaml_read_otherwise_is_refused(text):
    with pytest.raises(ValueError, match=r"no number that all readers agree on.*quotes in line 2"):
        parse_yaml(f"a: 1\nx: {text}\n")


@pytest.mark.parametrize("text", ["9" * 5000, '"\\0"', '"\\ud800"', "&a [*a", "{a: 1, a: 2}"])
def test_other_odd_values_are_refused_in_a_line(text):
    with pytest.raises(ValueError, match="line 1") as error:
        parse_yaml(f"x: {text}")
    assert len(str(error.value)) < 400


def _levels(first, level):
    names = [chr(ord("b") + n) for n in range(10)]
    before = ["a", *names]
    lines = [level(name, ", ".join([f"*{b}"] * 9)) for name, b in zip(names, before, strict=False)]
    return "\n".join([first, *lines])


def test_aliases_of_aliases_are_quoted_short():
    value = parse_yaml(_levels("a: &a [x, x]", lambda name, nine: f"{name}: &{name} [{nine}]"))
    started = time.perf_counter()
    assert len(quote(value)) < 2000
    assert time.perf_counter() - started < 1


def test_merges_of_merges_are_refused():
    text = _levels("a: &a {k: 1, l: 2}", lambda name, nine: f"{name}: &{name} {{<<: [{nine}]}}")
    started = time.perf_counter()
    with pytest.raises(ValueError, match="<< merges more than 10,000"):
        parse_yaml(text)
    assert time.perf_counter() - started < 5
    assert parse_yaml("a: &a {k: 1}\nb: {<<: *a, l: 2}")["b"] == {"k": 1, "l": 2}


@pytest.mark.parametrize("name", ["fifo", "/dev/zero"])
def test_what_has_no_end_is_not_opened(tmp_path, name):
    os.mkfifo(tmp_path / "fifo")
    for read in (read_bytes, read_yaml):
        with pytest.raises(OSError, match="no regular file"):
            read(tmp_path / name)


def test_a_file_is_as_large_as_it_may_be(tmp_path):
    (tmp_path / "large").write_bytes(b"#" * (LARGEST_YAML + 1))
    with pytest.raises(OSError, match="1,048,577 bytes, and 1,048,576 are the most"):
        read_yaml(tmp_path / "large")
    with pytest.raises(OSError, match="cannot name a file"):
        read_bytes("a\0b")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/etc/passwd", "not beside the pattern file"),
        ("../secret.txt", "not beside the pattern file"),
        ("fifo", "no regular file"),
        ("secret.txt", "line 2 is not a single word"),
        ("twice.txt", "line 3 is the word of line 1"),
        ("latin.txt", "not UTF-8 text"),
    ],
)
def test_no_line_of_a_word_list_is_in_an_error(tmp_path, name, message):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "secret.txt").write_text("root\nroot:x:hunter2 and more\n")
    (tmp_path / "twice.txt").write_text("hunter2\nother\nhunter2\n")
    (tmp_path / "latin.txt").write_bytes(b"hunter2\xff\n")
    (tmp_path / "own.yaml").write_text(f"spaces: {{team: {name}}}")
    with pytest.raises((CanaryError, OSError), match=message) as error:
        load_patterns(tmp_path / "own.yaml")
    assert "hunter2" not in str(error.value)


def test_what_moves_a_terminal_is_an_escape():
    assert shown("a\x1b[31mb\tc\nd\x07\u202e\x9b") == "a\\x1b[31mb\tc\nd\\x07\\u202e\\x9b"
    assert shown("a\u00a0b") == "a\u00a0b"
    assert shown("naïve ✓ 東京") == "naïve ✓ 東京"
