"""A user's own patterns come from a YAML file whose mistakes are named."""

from pathlib import Path

import pytest

from canaries import CanaryError, get_pattern, load_patterns


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "own.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_patterns_and_spaces_of_a_file_work_like_those_of_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("müller\n\n meier \nschmidt\n", encoding="utf-8")
    path = write(
        tmp_path,
        "patterns:\n  badge: 'my badge is {team} {digit*3}'\n  host: this is {surname}\n"
        "  phrase: '{word*4}'\nspaces:\n  team: [red, blue]\n  surname: names.txt\n",
    )
    patterns, spaces = load_patterns(path)
    badge = get_pattern("badge", patterns=patterns, spaces=spaces)
    assert badge.size == 2 * 10**3
    assert badge.fill(("blue", "0", "0", "7")) == "my badge is blue 0 0 7"
    assert spaces["surname"].options == ("müller", "meier", "schmidt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a mapping"),
        ("- a\n- b\n", "must be a mapping"),
        ("pattern: {a: 'b {digit}'}", "must be a mapping"),
        ("patterns: [", "is not YAML"),
        ("spaces: {day: !!timestamp 2020-99-99}", "is not YAML"),
        ("patterns: {a: 'b {digit}', a: 'c {digit}'}", "'a' stands twice in line 1"),
        ("patterns: " + "[" * 5000, "nested too deeply"),
        (b"patterns: {a: '\xff {digit}'}", "not UTF-8"),
        ("patterns: [a, b]", "must map names"),
        ("patterns: {a: 'no slot'}", "patterns, a: .*no slot"),
        ("patterns: {a: 'b {team}'}", "patterns, a: .*'team'"),
        ("patterns: {a: 7}", "patterns, a: 7 is not a template"),
        ("patterns: {a: }", "patterns, a: None is not a template"),
        ("patterns: {call: 'x {digit}'}", "'call' exists already.*call:LENGTH"),
        ("patterns: {'a:b': 'x {digit}'}", "cannot name a pattern"),
        ("patterns: {1: 'x {digit}'}", "name 1 is not text"),
        ("spaces: {digit: ['1', '2']}", "'digit' exists already"),
        ("spaces: {word: [a, b]}", "'word' exists already"),
        ("spaces: {answer: [yes, no]}", "spaces, answer: option True.*quotes"),
        ("spaces: {code: [0123, 0124]}", "'0123' is no number.*quotes"),
        ("spaces: {city: [new york, oslo]}", "'new york'.*single word"),
        ("spaces: {city: [oslo]}", "at least 2"),
        ("spaces: {city: 3}", "3 is not a word list"),
        ("spaces: {a b: [x, y]}", "cannot name a secret space"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(CanaryError, match=rf"own\.yaml(?s:.*){message}"):
        load_patterns(write(tmp_path, text))


def test_nothing_in_the_file_is_executed(tmp_path: Path) -> None:
    with pytest.raises(CanaryError, match="is not YAML"):
        load_patterns(write(tmp_path, "patterns: !!python/object/apply:os.getcwd []"))


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_patterns(tmp_path / "none.yaml")
    with pytest.raises(FileNotFoundError):
        load_patterns(write(tmp_path, "spaces: {city: none.txt}"))
