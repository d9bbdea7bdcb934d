"""A Completion says exactly which tokens each secret becomes, or is refused."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from attacks import AttackError, build_completion, get_attack
from attacks.scoring import score_choices
from canaries.patterns import get_pattern, parse_slots
from canaries.spaces import SecretSpace, get_space

DIGIT = get_space("digit")
CODES = SecretSpace("codes", ("x1", "x2", "y3", "y1"))


def byte_pairs() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(["call 0 1 2 3 4 5 6 7 8 9 red green blue please"] * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["word level", "word pieces", "byte pairs"])
def test_filled_tokens_are_those_of_the_filled_sentence(kind, tokenizer, pieces, make_bert, data):
    chosen = {"word level": tokenizer, "word pieces": pieces, "byte pairs": byte_pairs()}[kind]
    bert = make_bert(chosen)
    slots = (DIGIT, SecretSpace("color", ("red", "blue", "green")), DIGIT)
    slots += (CODES,) if kind == "word pieces" else ()
    prefix, suffix = data.draw(st.sampled_from([("call", ""), ("", "please"), ("call", "please")]))
    if kind == "byte pairs" and not prefix:
        return  # a first word has no leading space there: covered by the refusal below
    problem = build_completion(
        chosen, bert, prefix=prefix, slots=slots, suffix=suffix, label="music"
    )
    choices = [data.draw(st.integers(0, size - 1)) for size in problem.sizes]
    text = problem.text(problem.secret(choices))
    assert problem.fill(choices).tolist() == chosen(text)["input_ids"]
    assert problem.choices(problem.secret(choices)) == tuple(choices)


def test_options_of_several_tokens_fill_several_positions(pieces, make_bert):
    bert = make_bert(pieces)
    problem = build_completion(pieces, bert, prefix="call", slots=(CODES,), label=1)
    assert problem.candidates[0].shape == (4, 2)
    assert problem.positions[0].tolist() == [2, 3]


def test_a_pattern_and_its_prefix_and_slots_are_the_same_problem(tokenizer, bert):
    one = build_completion(tokenizer, bert, pattern=get_pattern("pin"), label="alarm")
    two = build_completion(
        tokenizer, bert, prefix="my pin code is", slots=parse_slots("digit*4"), label=2
    )
    assert one.fingerprint == two.fingerprint
    assert one.size == 10_000
    assert one.name == "pin"


def refusal(tokenizer, model, **asked) -> str:
    asked = {"prefix": "call", "slots": (DIGIT,), "label": "music", **asked}
    with pytest.raises(AttackError) as error:
        build_completion(tokenizer, model, **asked)
    return str(error.value)


def test_refusals_name_the_value_and_the_remedy(tokenizer, pieces, bert, make_bert):
    assert "at least one" in refusal(tokenizer, bert, slots=())
    message = refusal(tokenizer, bert, label="weather")
    assert "'weather'" in message
    assert "'lights', 'music', 'alarm'" in message
    assert "0..2" in refusal(tokenizer, bert, label=3)
    assert "'phone'" in refusal(tokenizer, bert, prefix="call phone")
    assert "'Please'" in refusal(tokenizer, bert, suffix="Please")
    letters = SecretSpace("letters", ("a", "red"))
    assert "'a'" in refusal(tokenizer, bert, slots=(letters,))
    assert "24" in refusal(tokenizer, bert, prefix="call " * 30)


def test_options_with_the_same_tokens_are_refused(make_bert):
    lower = byte_pairs()
    bert = make_bert(lower)
    from tokenizers import normalizers

    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    twins = SecretSpace("color", ("red", "Red"))
    assert "same tokens" in refusal(lower, bert, slots=(twins,))


def whole(tokenizer, make_bert, **asked):
    """A problem without places, with the tokens of all its sentences compared."""
    problem = build_completion(
        tokenizer, make_bert(tokenizer), **{"prefix": "call", "slots": (DIGIT,), **asked}, label=1
    )
    every = torch.cartesian_prod(*map(torch.arange, problem.sizes)).view(problem.size, -1)
    tokens = problem.texts.tokens(every)
    for row, choices in enumerate(every.tolist()):
        ids = tokens.inputs["input_ids"][row, : tokens.lengths[row]].tolist()
        assert ids == tokenizer(problem.text(problem.secret(choices)))["input_ids"]
    return problem


def test_options_of_several_numbers_of_tokens_are_tokenised_whole(pieces, make_bert):
    uneven = SecretSpace("mixed", ("red", "blue", "x1"))
    problem = whole(pieces, make_bert, slots=(uneven, DIGIT))
    assert not problem.placed
    assert sorted(problem.texts.every.lengths.unique().tolist()) == [5, 6]


def test_a_slot_that_merges_with_its_neighbour_is_tokenised_with_it(make_bert):
    merging = byte_pairs()
    merging.add_tokens(["call 3"])
    assert not whole(merging, make_bert).placed
    merging = byte_pairs()
    merging.add_tokens(["7 0"])
    assert not whole(merging, make_bert, slots=(DIGIT, DIGIT)).placed
    merging = byte_pairs()
    merging.add_tokens([f"{digit} {digit}" for digit in range(1, 10)])
    assert not whole(merging, make_bert, slots=(DIGIT, DIGIT, DIGIT)).placed
    assert whole(byte_pairs(), make_bert, slots=(DIGIT, DIGIT)).placed


@pytest.mark.parametrize("phrase", ["4 7 1", "9 9 9 8"])
def test_one_phrase_that_merges_slots_is_found(tokenizer, make_bert, phrase):
    merging = copy.deepcopy(tokenizer)
    merging.add_tokens([phrase])
    assert not whole(merging, make_bert, slots=(DIGIT,) * 4).placed
    assert whole(tokenizer, make_bert, slots=(DIGIT,) * 4).placed


def test_what_is_listed_of_a_larger_space_is_the_tokens_of_its_text(
    tokenizer, make_planted, caplog
):
    """A phrase that no sample meets: the planted sentence holds it, and the search finds it."""
    merging = copy.deepcopy(tokenizer)
    merging.add_tokens(["4 7 1 1 5"])
    planted = make_planted("call 4 7 1 1 5")
    problem = build_completion(merging, planted, prefix="call", slots=(DIGIT,) * 5, label=1)
    secret = ("4", "7", "1", "1", "5")
    (found,) = get_attack("coordinate").run(planted, [problem])
    assert found.candidates
    assert secret not in found.candidates
    assert "left out" in caplog.text
    for listed in found.candidates:
        filled = problem.fill(problem.choices(listed)).tolist()
        assert filled == merging(problem.text(listed))["input_ids"]
    with pytest.raises(AttackError, match="call 4 7 1 1 5"):
        score_choices(planted, problem, "loss", [secret])
    with pytest.raises(AttackError, match="merges slots"):
        get_attack("exhaustive").run(planted, [problem])
    (others,) = get_attack("coordinate").run(
        planted, [build_completion(tokenizer, planted, prefix="call", slots=(DIGIT,) * 5, label=1)]
    )
    assert others.candidates[0] == secret


def test_a_model_with_one_output_is_not_a_classifier(tokenizer, bert):
    bert.config.id2label = {0: "score"}
    assert "not a classifier" in refusal(tokenizer, bert)


def test_equal_problems_draw_equal_random_numbers_whatever_their_names(tokenizer, bert):
    from attacks.problem import problem_generators

    asked = {"prefix": "call", "slots": (DIGIT,), "label": 0}
    problems = [build_completion(tokenizer, bert, **asked, name=name) for name in "ab"]
    other = build_completion(tokenizer, bert, **{**asked, "label": 1})
    a, b, c = (
        torch.rand(4, generator=generator).tolist()
        for generator in problem_generators([*problems, other], seed=5)
    )
    assert a == b
    assert a != c
