"""JSON and YAML of users: read as their standards say, or refused in one short line."""

import pytest

from canaries.reading import LONGEST, one_line, parse_json, parse_yaml, quote


def test_merged_keys_may_be_given_again_and_others_may_not():
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, x: 2}\n")["b"] == {"x": 2}
    with pytest.raises(ValueError, match="'x' stands twice in line 2"):
        parse_yaml("a: {x: 1,\n x: 2}\n")


def test_a_character_that_two_escapes_make_is_whole_and_half_of_it_is_refused():
    assert parse_json(r'"\ud83d\ude00"') == "\U0001f600"
    for half in (r'"\ud83d"', rb'["\uDE00"]'):
        with pytest.raises(ValueError, match="surrogates"):
            parse_json(half)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_nesting_has_a_bound(text):
    with pytest.raises(ValueError, match="too deeply"):
        parse_json(text)
    with pytest.raises(ValueError):
        parse_yaml(text[:10_000])


def test_a_message_is_one_line_without_control_characters_and_not_endless():
    assert one_line("a\n b\x1b[31m\u202e\ud800") == r"a b\x1b[31m\u202e\ud800"
    assert len(one_line("x" * 10**6)) < LONGEST + 10


def test_a_value_of_aliases_without_end_is_quoted_at_once():
    value: list = ["x"]
    for _ in range(40):
        value = [value] * 9
    assert len(quote(value)) < 10_000
    assert quote("x" * 100) == repr("x" * 100)
