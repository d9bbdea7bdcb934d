"""What every mechanism of words keeps."""

import pytest

from modiva.training.textprivacy import get_mechanism

SENTENCES = ["1 filler1 filler2", "nowhere filler3", "", "1 filler1 filler2"]
WEAK = {"tem": 1e6, "madlib": 1e9, "mahalanobis": 1e9, "gumbel": 1e300}


@pytest.fixture(params=WEAK)
def mechanism(request, vectors_file):
    def make(epsilon=None, name=request.param):
        epsilon = WEAK[name] if epsilon is None else epsilon
        return get_mechanism(f"{name}:{epsilon}", word_space=str(vectors_file))

    make.name = request.param
    return make


def strong(make):
    return make({"tem": 1.0, "madlib": 2.0, "mahalanobis": 2.0, "gumbel": 400.0}[make.name])


def test_no_noise_changes_no_word_of_the_space_and_puts_out_no_other(mechanism, space):
    rewritten = mechanism().rewrite(SENTENCES, seed=0)
    assert rewritten[0] == rewritten[3] == SENTENCES[0]
    outside, kept = rewritten[1].split()
    assert kept == "filler3"
    assert outside in space.places
    assert rewritten[2] == ""


def test_outputs_are_words_of_the_space_and_lengths_stay(mechanism, space):
    rewritten = strong(mechanism).rewrite(SENTENCES * 50, seed=0)
    assert {word for sentence in rewritten for word in sentence.split()} <= set(space.words)
    assert [len(s.split()) for s in rewritten] == [len(s.split()) for s in SENTENCES * 50]


def test_copies_of_a_sentence_are_drawn_each_on_its_own_and_a_seed_reproduces_them(mechanism):
    protects = strong(mechanism)
    one, same, other = (protects.rewrite([SENTENCES[0]] * 20, seed) for seed in (7, 7, 8))
    assert len(set(one)) > 5
    assert one == same != other


def test_several_texts_at_once_are_what_they_are_alone(mechanism):
    protects = strong(mechanism)
    texts = [SENTENCES, SENTENCES * 3, ["filler9 4 4"], []]
    seeds = [3, 1, 2, 0]
    alone = [protects.rewrite(text, seed) for text, seed in zip(texts, seeds, strict=True)]
    assert protects.rewrite_all(texts, seeds) == alone
