"""Every sentence has one spelling, whatever file it came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modiva.corpora.text import normalise


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("  Turn\tON\nthe   lights ", "turn on the lights"),
        ("Don\u2019t wake me at 7:30, please!", "don't wake me at 7 : 30 , please !"),
        ("it's 5 o'clock in 'the office'", "it's 5 o'clock in ' the office '"),
        ("ＭＹ PIN is １２３４", "my pin is 1234"),
        ("50% of $20", "50 % of $ 20"),
        ("Café ÉTÉ", "café été"),
        ("Cafe\u0301", "café"),
        ("हिन्दी में", "हिन्दी में"),
        ("broken \ud83c emoji\x00", "broken emoji"),
        ("", ""),
    ],
)
def test_words_are_split_from_marks_and_kept_whole(written: str, words: str) -> None:
    assert normalise(written) == words
