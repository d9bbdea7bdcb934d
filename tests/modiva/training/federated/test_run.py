"""Whole federated runs: rounds, resuming, what attackers see, and distilled students."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from modiva.condition import Condition
from modiva.corpora import Corpus
from modiva.corpora.corpus import Example
from modiva.errors import ModivaError
from modiva.handling import Distilled, Federated
from modiva.training import load_targets, prepare, save_targets
from modiva.training.config import Splits
from modiva.training.distilled import transfer_texts
from modiva.training.federated.partition import assign_people
from modiva.training.federated.record import Rounds
from modiva.training.federated.run import FederatedRun, Holdings

from ..conftest import make_splits

FEDERATION = Federated(clients=6, per_round=3, rounds=4, partition="quantity:1")


def corpus(n=120):
    return Corpus("tiny", *(tuple(Example(*one) for one in part) for part in make_splits(n)))


def prepared(training=FEDERATION, n=120, **settings):
    condition = Condition(
        corpus="tiny", target="cnn", size="small", patterns=("my code is {digit*2}",),
        repetitions=(5,), training=training, **settings,
    )  # fmt: skip
    return prepare(condition, corpus=corpus(n), device="cpu")


def run(training=FEDERATION, seed=1, folder=None, **settings):
    ((target, ledger),) = prepared(training, **settings).train([seed], rounds=folder)
    return target, ledger


class Killed(Rounds):
    """Rounds of a run that is killed after the second one."""

    def interrupted(self, parts, facts):
        super().interrupted(parts, facts)
        if len(facts["history"]) == 2:
            raise KeyboardInterrupt


def run_killed(training, folder, seed=1):
    one = prepared(training)
    planted = one.plant(seed)
    killed = FederatedRun(
        one.build(planted, seed),
        Splits(planted.train, planted.valid, one.corpus.test),
        {canary.id: canary.text for canary in planted.ledger.canaries},
        training,
        one.config,
        seed=seed,
        training_seed=seed,
        rounds=Killed(folder / str(seed)),
    )
    with pytest.raises(KeyboardInterrupt):
        killed.fit()


def weights(target):
    return dict(target.classifier.model.state_dict())


def assert_equal_runs(one, other):
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())
    assert one.devices == other.devices
    assert one.result.history == other.result.history
    assert replace(one.result, seconds=0) == replace(other.result, seconds=0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"server": "fedadam", "selection": "activity"},
        {"noise_multiplier": 0.5, "selection": "activity:0.5"},
        {"periods": 2, "keep_rounds": True},
    ],
)
def test_a_run_goes_on_from_its_last_round(tmp_path, changes):
    training = replace(FEDERATION, **changes)
    whole, _ = run(training)
    folder = tmp_path / "rounds"
    run_killed(training, folder)
    assert (folder / "1" / "state.safetensors").exists()
    left = shutil.copytree(folder, tmp_path / "left")
    resumed, _ = run(training, folder=folder)
    assert_equal_runs(whole, resumed)
    assert whole.rounds.index == resumed.rounds.index
    assert not (folder / "1" / "state.safetensors").exists()
    # Another run does not go on from it.
    fresh, _ = run(replace(training, proximal=0.5, server="fedprox"))
    other, _ = run(replace(training, proximal=0.5, server="fedprox"), folder=left)
    assert_equal_runs(fresh, other)


def test_the_sum_of_updates_is_what_the_server_added():
    training = replace(FEDERATION, per_round=6, rounds=1, keep_rounds=True)
    target, _ = run(training)
    (canary,) = target.devices
    ((before, after),) = target.views(canary, "aggregate")
    for name, value in after.state_dict().items():
        assert torch.allclose(value, weights(target)[name], atol=1e-6)
    initial = prepared(training).initial_model(target).state_dict()
    assert all(torch.equal(value, initial[name]) for name, value in before.state_dict().items())


def test_what_is_seen_are_the_rounds_of_the_device_of_a_canary(tmp_path):
    target, _ = run(replace(FEDERATION, rounds=8, keep_rounds=True))
    ((canary, device),) = target.devices.items()
    assert 0 < device.rounds < 8
    assert len(list(target.views(canary, "update"))) == device.rounds
    views = list(target.views(canary, "rounds"))
    assert len(views) == 8
    for (_, after), (before, _) in pairwise(views):
        assert torch.equal(after.head.weight, before.head.weight)
    assert torch.equal(views[-1][1].head.weight, target.classifier.model.head.weight)
    save_targets([(target, run()[1])], tmp_path)
    (again,) = load_targets(tmp_path)
    assert again.devices == target.devices
    for mine, yours in zip(
        target.views(canary, "update"), again.views(canary, "update"), strict=True
    ):
        assert torch.equal(mine[1].head.weight, yours[1].head.weight)


def test_rounds_that_were_not_kept_are_not_made_up():
    target, _ = run(replace(FEDERATION, rounds=8))
    (canary,) = target.devices
    with pytest.raises(ModivaError, match="not kept: train with --seen rounds"):
        list(target.views(canary, "rounds"))


def test_a_device_that_never_took_part_shows_the_update_of_another():
    training = replace(FEDERATION, clients=40, per_round=1, rounds=2)
    seen = [run(training, seed=seed)[0] for seed in range(4)]
    never = [target for target in seen if target.devices[next(iter(target.devices))].rounds == 0]
    assert never
    for target in never:
        (canary,) = target.devices
        ((before, after),) = target.views(canary, "update")
        assert not torch.equal(before.head.weight, after.head.weight)


def test_all_copies_of_a_canary_are_of_one_client_or_spread():
    examples = [*make_splits(200).train, *[("my code is 1 2", "play")] * 30]
    canaries = {"pin-0": "my code is 1 2"}
    one = Holdings.of(FEDERATION, examples, canaries, 0)
    assert len(one.holders["pin-0"]) == 1
    spread = Holdings.of(replace(FEDERATION, spread=True), examples, canaries, 0)
    assert len(spread.holders["pin-0"]) > 3
    for holdings in (one, spread):
        assert holdings.sizes.sum() == len(examples)


def test_private_federations_claim_epsilon_for_devices():
    target, _ = run(replace(FEDERATION, noise_multiplier=1.0, selection="activity"))
    plan = target.result.plan
    assert len(plan["epsilon_by_device"]) == 6
    assert target.result.epsilon == pytest.approx(max(plan["epsilon_by_device"]))
    assert len(plan["ran"]["clip_norms"]) == 4
    uniform, _ = run(replace(FEDERATION, noise_multiplier=1.0))
    assert "epsilon_by_device" not in uniform.result.plan


def test_other_students_never_see_the_sentences_of_the_teacher():
    for transfer in ("other", "decoys"):
        one = prepared(Distilled(transfer, decoys=20), n=300, sentences=60)
        planted = one.plant(0)
        settings = one.condition.training
        texts = transfer_texts(settings, planted.train, one.pool.train, planted.ledger, 0)
        taught = {text for text, _ in planted.train}
        assert not taught & set(texts)
        decoys = [text for text in texts if text.startswith("my code is")]
        assert len(decoys) == (20 if transfer == "decoys" else 0)
        (canary,) = planted.ledger.canaries
        kept = {canary.form.fill(secret) for secret in (canary.secret, *canary.controls)}
        assert not kept & set(decoys)


def test_a_student_learns_the_labels_of_its_teacher():
    target, _ = run(Distilled("same"))
    assert target.result.test_accuracy > 2 * target.result.majority_accuracy
    assert target.result.train_accuracy > 0.9  # agreement with the teacher
    initial = prepared(Distilled("same")).initial_model(target)
    assert initial.state_dict().keys() == target.classifier.model.state_dict().keys()


def spoken(speakers, n=120):
    """The corpus with a speaker beside each training sentence, in turn."""
    whole = corpus(n)
    train = tuple(
        Example(*one, {"speaker": speakers[at % len(speakers)]})
        for at, one in enumerate(whole.train)
    )
    return replace(whole, train=train)


def by_speaker(speakers, clients, **settings):
    training = replace(
        FEDERATION, partition="natural:speaker", clients=clients, per_round=2, rounds=2
    )
    condition = Condition(
        corpus="tiny", target="cnn", size="small", patterns=("my code is {digit*2}",),
        repetitions=(5,), training=training, **settings,
    )  # fmt: skip
    return prepare(condition, corpus=spoken(speakers), device="cpu")


def test_a_natural_partition_gives_each_person_a_device():
    one = by_speaker(("ann", "bob", "bob", "cy"), 3)
    one.check_training()
    planted = one.plant(1)
    canaries = {canary.id: canary.text for canary in planted.ledger.canaries}
    holdings = Holdings.of(one.condition.training, planted.train, canaries, 1)
    held = {}
    for example, client in zip(planted.train, holdings.client.tolist(), strict=True):
        if isinstance(example, Example):
            held.setdefault(client, set()).add(example.beside["speaker"])
    assert sorted(map(sorted, held.values())) == [["ann"], ["bob"], ["cy"]]
    (holders,) = holdings.holders.values()
    assert len(holders) == 1
    ((target, _),) = one.train([1])
    assert target.result.epochs_run == 2


def test_fewer_devices_than_people_share_them_evenly_and_more_are_refused():
    people = assign_people(["a"] * 6 + ["b"] * 3 + ["c"] * 2 + ["d"], 2)
    assert sorted(np.bincount(people).tolist()) == [6, 6]
    with pytest.raises(ModivaError, match=r"names 3 people .* give 3 or fewer"):
        by_speaker(("ann", "bob", "cy"), 4).check_training()
    with pytest.raises(ModivaError, match="40 of 120 training sentences have no value"):
        by_speaker(("ann", "", "cy"), 2).check_training()


def test_each_device_rewrites_its_own_sentences(tmp_path):
    """The secret stays on the device that it was given to, though no copy of it is left."""
    space = tmp_path / "words.txt"
    vectors = np.random.default_rng(0).standard_normal((30, 4)).round(3)
    lines = [f"w{place} {' '.join(map(str, own))}" for place, own in enumerate(vectors)]
    space.write_text("\n".join(lines) + "\n")
    target, ledger = run(privatize="tem:1", word_space=str(space))
    (canary,) = ledger.canaries
    assert len(canary.rewritten) == canary.repetitions
    assert canary.text not in canary.rewritten
    assert target.words_kept < 0.5
    plain, _ = run()
    assert target.devices == plain.devices
    assert target.devices[canary.id].holders == 1
