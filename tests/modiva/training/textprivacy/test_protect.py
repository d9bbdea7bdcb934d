"""Text protection on the way to a target: what is rewritten, what is kept, and where."""

import dataclasses

import pytest

from canaries import Ledger
from modiva.condition import Condition
from modiva.errors import ModivaError
from modiva.training import load_ledgers, load_targets, prepare, save_targets

CONDITION = Condition(
    size="small",
    patterns=("call",),
    repetitions=(12,),
    sentences=120,
    epochs=2,
    controls=2,
    privatize="tem:6",
)


@pytest.fixture(scope="module")
def prepared(vectors_file):
    return prepare(dataclasses.replace(CONDITION, word_space=str(vectors_file)))


@pytest.fixture(scope="module")
def trained(prepared):
    return prepared.train((0, 1))


def test_the_ledger_keeps_the_originals_and_each_copy_is_rewritten_on_its_own(prepared, trained):
    for seed, (target, ledger) in enumerate(trained):
        (planted,) = prepared.plant(seed).ledger.canaries
        (canary,) = ledger.canaries
        assert (canary.secret, canary.text) == (planted.secret, planted.text)
        assert len(canary.rewritten) == 12
        assert len(set(canary.rewritten)) > 1
        assert planted.rewritten is None
        assert 0 < target.words_kept < 1


def test_the_word_list_of_a_checkpoint_is_an_output_of_the_mechanism(prepared, trained, space):
    public = set(space.words) | {"call", *"0123456789"}
    for target, _ in trained:
        tokenizer = target.classifier.tokenizer
        assert set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens) <= public


def test_the_model_before_training_is_rebuilt_without_the_sentences(prepared, trained):
    target, _ = trained[0]
    initial, final = (
        prepared.initial_model(target).state_dict(),
        target.classifier.model.state_dict(),
    )
    assert {name: tensor.shape for name, tensor in initial.items()} == {
        name: tensor.shape for name, tensor in final.items()
    }
    assert any((initial[name] != final[name]).any() for name in final)


def test_another_seed_of_the_noise_leaves_the_secrets_and_changes_the_text(prepared, trained):
    ((_, other),) = prepared.train([0], training_seeds=[99])
    ledger = trained[0][1]
    assert [c.secret for c in other.canaries] == [c.secret for c in ledger.canaries]
    assert [c.rewritten for c in other.canaries] != [c.rewritten for c in ledger.canaries]


def test_targets_come_back_from_their_folder_with_what_was_rewritten(trained, tmp_path):
    save_targets(trained, tmp_path)
    assert [t.words_kept for t in load_targets(tmp_path)] == [t.words_kept for t, _ in trained]
    assert load_ledgers(tmp_path) == [ledger for _, ledger in trained]
    assert all(isinstance(ledger, Ledger) for ledger in load_ledgers(tmp_path))


def test_copies_in_the_validation_split_are_read_too(vectors_file):
    shared = dataclasses.replace(CONDITION, word_space=str(vectors_file), share_valid=True)
    ((_, ledger),) = prepare(shared).train([0])
    (canary,) = ledger.canaries
    assert len(canary.rewritten) == 12 + canary.valid_repetitions > 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"privatize": "tem"}, "give a mechanism and its epsilon"),
        ({"privatize": "tem:0"}, "a number above 0"),
        ({"privatize": "tem:nan"}, "a number above 0"),
        ({"privatize": "gumble:90"}, "did you mean 'gumbel'"),
        ({"word_space": "no/such/file.txt"}, "--word-space no/such/file.txt"),
        ({"privatize": "adept:50"}, "modiva autoencoder PUBLIC_CORPUS"),
        ({"privatize": "adept:50", "autoencoder": "no/such/folder"}, "has no folder"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(changes, message):
    with pytest.raises(ModivaError, match=message):
        prepare(dataclasses.replace(CONDITION, **changes))
