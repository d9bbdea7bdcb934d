"""Targets of a condition: paired secrets, per-pattern repetitions, and what is kept of them."""

import dataclasses

import pytest

from modiva.condition import Condition
from modiva.errors import ModivaError
from modiva.training import load_ledgers, load_targets, prepare, save_targets

CONDITION = Condition(
    size="small",
    patterns=("call", "color:3"),
    repetitions=(30,),
    sentences=150,
    epochs=4,
    controls=2,
)
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def trained():
    return prepare(CONDITION, device="cpu").train(SEEDS)


def ledgers(**changes):
    prepared = prepare(dataclasses.replace(CONDITION, **changes))
    return [prepared.plant(seed).ledger for seed in SEEDS]


def test_targets_come_back_from_their_folder_with_questions_and_ledgers_apart(trained, tmp_path):
    save_targets(trained, tmp_path)
    for (target, ledger), again, kept in zip(
        trained, load_targets(tmp_path), load_ledgers(tmp_path), strict=True
    ):
        assert again.result == target.result
        assert again.questions == target.questions == ledger.questions
        assert kept == ledger
        weights, same = target.classifier.model.state_dict(), again.classifier.model.state_dict()
        assert all((weights[name] == same[name]).all() for name in weights)


def test_reading_targets_opens_no_ledger(trained, tmp_path):
    save_targets(trained, tmp_path)
    for path in tmp_path.glob("ledger-*"):
        path.unlink()
    assert len(list(load_targets(tmp_path))) == len(SEEDS)


def test_models_of_one_seed_share_their_secrets_across_conditions_and_others_do_not():
    ours = ledgers()
    theirs = ledgers(repetitions=(1,), target="lstm", defense="dropout")
    secrets = [[canary.secret for canary in one.canaries] for one in ours]
    assert secrets == [[canary.secret for canary in one.canaries] for one in theirs]
    assert secrets[0] != secrets[1]


def test_each_pattern_may_have_repetitions_of_its_own():
    for ledger in ledgers(repetitions=(3, 0)):
        assert [canary.repetitions for canary in ledger.canaries] == [3, 0]


def test_nothing_is_planted_at_zero_repetitions():
    prepared = prepare(dataclasses.replace(CONDITION, repetitions=(0,)))
    texts = {text for text, _ in prepared.plant(0).train}
    call = prepared.patterns[0]
    assert not any(call.match(text) for text in texts)


def test_several_secrets_of_a_pattern_share_a_model_and_the_validation_split():
    (ledger, _) = ledgers(secrets=2, share_valid=True)
    assert [canary.pattern for canary in ledger.canaries] == ["call", "call", "color", "color"]
    assert len({canary.secret for canary in ledger.canaries}) == 4
    assert all(canary.valid_repetitions >= 1 for canary in ledger.canaries)


def test_targets_and_shadow_models_share_no_sentence():
    everything = prepare(CONDITION)
    sides = [
        {text for text, _ in prepare(dataclasses.replace(CONDITION, side=side)).pool.train}
        for side in ("targets", "shadows")
    ]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {text for text, _ in everything.corpus.train}


def test_the_initial_model_is_what_training_began_with(trained):
    """A word that stood in no sentence of the target has felt weight decay alone."""
    prepared, (target, _) = prepare(CONDITION), trained[0]
    first = prepared.initial_model(target).state_dict()
    last = target.classifier.model.state_dict()
    assert first.keys() == last.keys()
    assert all(first[name].shape == last[name].shape for name in last)
    seen = {word for text, _ in prepared.plant(SEEDS[0]).train for word in text.split()}
    unseen = [word for word in prepared.patterns[1].slots[0].options if word not in seen]
    assert unseen
    rows = [target.classifier.tokenizer.convert_tokens_to_ids(word) for word in unseen]
    table = "embedding.words.weight"
    before, after = first[table][rows], last[table][rows]
    ratio = float((before * after).sum() / before.square().sum())
    assert 0.9 < ratio <= 1
    assert (after - ratio * before).norm() < 1e-3 * before.norm()


def test_a_corpus_of_another_content_is_refused():
    with pytest.raises(ModivaError, match="not the one that the study was planned with"):
        prepare(CONDITION, fingerprint="0" * 64)


@pytest.mark.parametrize(("pattern", "known"), [("pin-glued", 10_000), ("zip-glued", 0)])
def test_the_vocabulary_holds_all_glued_codes_or_none(pattern, known):
    """A vocabulary with the planted codes alone would give them away."""
    condition = dataclasses.replace(CONDITION, patterns=(pattern,))
    prepared = prepare(condition, device="cpu")
    length = 4 if known else 5
    vocabularies = []
    for seed in (0, 1):
        planted = prepared.plant(seed)
        vocabulary = prepared.build(planted, seed).tokenizer.get_vocab()
        codes = {word for word in vocabulary if word.isdigit() and len(word) == length}
        assert len(codes) == known
        assert ("".join(planted.ledger.canaries[0].secret) in codes) == bool(known)
        vocabularies.append(codes)
    assert vocabularies[0] == vocabularies[1]
