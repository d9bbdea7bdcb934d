"""The word-level tokenizer sees the words of the corpora and hides which candidates occurred."""

from hypothesis import given, settings
from hypothesis import strategies as st

from modiva.classifiers.tokenizer import build_vocabulary, encode, split_words, word_tokenizer
from modiva.corpora.text import normalise


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Co", "Cn"])))
def test_normalised_text_splits_at_its_spaces(text):
    words = normalise(text).split()
    assert split_words([" ".join(words)]) == [words]


def test_raw_text_splits_as_its_normalised_form():
    raw = ["Don’t  call O'Hare's\toffice—now!", "What's 5.30 + £2?", "'quoted' e-mail"]
    assert split_words(raw) == [normalise(text).split() for text in raw]


def test_numbering_does_not_tell_which_candidates_occurred_in_training():
    digits = list("3141592653589793")
    without = build_vocabulary(["call me"], digits)
    planted = build_vocabulary(["call me", "call 5 5 9 3"] * 10, reversed(digits))
    assert list(planted.items()) == list(without.items())


def test_order_is_deterministic_and_tells_no_frequency():
    texts = ["b b b b a", "c a b"]
    vocabulary = build_vocabulary(texts, ["z"])
    assert list(vocabulary) == ["[PAD]", "[UNK]", "z", "a", "b", "c"]
    assert vocabulary == build_vocabulary(texts[::-1], ["z"])


def test_rare_words_are_unknown_but_extra_words_never():
    vocabulary = build_vocabulary(["a a b", "z"], ["z", "q"], min_count=2)
    assert set(vocabulary) == {"[PAD]", "[UNK]", "a", "q", "z"}


def test_encode_knows_extra_words_and_marks_the_others_unknown():
    tokenizer = word_tokenizer(build_vocabulary(["call me now"], "0123456789"))
    assert tokenizer.pad_token_id == 0
    ids = encode(tokenizer, ["CALL 0 9 frobnicate", ""])
    assert tokenizer.convert_ids_to_tokens(ids[0]) == ["call", "0", "9", "[UNK]"]
    assert ids[1] == [tokenizer.unk_token_id]
    assert encode(tokenizer, []) == []
    assert encode(tokenizer, ["call me now"], max_length=2) == encode(tokenizer, ["call me"])


def test_offsets_give_the_place_of_each_word():
    tokenizer = word_tokenizer(build_vocabulary(["my pin is"], "0123456789"))
    text = "my pin is 1 2?"
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    assert [text[start:end] for start, end in offsets] == ["my", "pin", "is", "1", "2", "?"]
