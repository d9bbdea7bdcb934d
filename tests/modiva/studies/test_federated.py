"""Studies of federated and distilled targets: refusals, keys, and a small one from end to end."""

import dataclasses
import json
import math

import pytest

from attacks import AttackError
from modiva.errors import ModivaError
from modiva.measure import summarise
from modiva.studies import AuditSpec, EngineSettings, Study, open_results, run_study
from modiva.studies.planning import plan_study

SMALL = AuditSpec(
    target=("cnn",), pattern=("color:2",), repetitions=(10,), sentences=300, models=1,
    training=("fedavg",), clients=6, per_round=(3,), rounds=4, partition=("quantity:1",),
    attack=("match",), seen=("update",), controls=2,
)  # fmt: skip


def plan(**changes):
    return plan_study(Study((dataclasses.replace(SMALL, **changes),)))


def keys(kind, **changes):
    return {step.key for step in plan(**changes).steps.values() if step.kind == kind}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": ("fedsgd",)}, "--training fedsgd: use one of central, fedavg"),
        ({"training": ("distil:all",)}, "--training distil:all: must be one of distil:same"),
        ({"per_round": (7,)}, "--per-round 7: there are 6 devices"),
        ({"clients": 301}, "--clients 301: the training split has 300 sentences"),
        ({"partition": ("speaker",)}, "--partition speaker: give label:ALPHA"),
        ({"partition": ("label:-1",)}, "--partition label:-1: give label:ALPHA"),
        ({"partition": ("cluster:1.5",)}, "--partition cluster:1.5: give label:ALPHA"),
        ({"selection": ("size",)}, "--selection size: give uniform, activity"),
        ({"selection": ("activity:-1",)}, "--selection activity:-1: give uniform"),
        ({"continual": (5,)}, "--continual 5: there are 4 rounds"),
        ({"seen": ("all",)}, "--seen all: must be one of final, rounds"),
        ({"training": ("central",)}, "only federated training has rounds; add one of fedavg"),
        ({"attack": ("coordinate",)}, "--seen update --attack coordinate: a search compares no"),
        ({"noise": (1.0,)}, "clients are protected by --user-noise"),
        ({"defense": ("early-stopping",)}, "leave early-stopping out"),
        ({"user_noise": (-1.0,)}, "--user-noise -1.0: must be 0 or more"),
        (
            {"user_epsilon": (3.0,), "selection": ("activity",)},
            "--user-epsilon 3 --selection activity: .* no common one; give --user-noise",
        ),
        (
            {"training": ("distil:other",), "seen": ("final",), "sentences": 0},
            "the teacher has all .* fewer with --sentences",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_work_starts(changes, said):
    with pytest.raises((ModivaError, AttackError), match=said):
        plan(**changes)


def test_one_trainer_does_not_depend_on_settings_of_clients():
    central = {"training": ("central",), "seen": ("final",), "noise": (0.0,)}
    changes = {"clients": 9, "rounds": 7, "partition": ("label:3",), "user_noise": (1.0,)}
    assert keys("train", **central) == keys("train", **central, **changes)
    assert keys("attack", **central) == keys("attack", **central, **changes)
    assert not keys("train", **central) & keys("train")


def test_what_clients_do_decides_the_key_of_a_training_and_what_is_seen_that_of_an_attack():
    for changes in (
        {"clients": 7}, {"per_round": (2,)}, {"rounds": 5}, {"partition": ("label:1",)},
        {"selection": ("activity",)}, {"continual": (2,)}, {"spread": True},
        {"user_noise": (1.0,)}, {"training": ("fedadam",)}, {"server_rate": 0.5},
    ):  # fmt: skip
        assert not keys("train") & keys("train", **changes), changes
    assert keys("train") == keys("train", seen=("aggregate",))
    assert not keys("attack") & keys("attack", seen=("aggregate",))


def test_beside_one_trainer_noise_on_sentences_is_of_that_one_alone():
    cells = dataclasses.replace(SMALL, training=("central", "fedavg"), noise=(0.0, 1.0)).cells()
    assert [(c.condition.method, c.condition.privacy is None, c.seen) for c in cells] == [
        ("central", True, "final"),
        ("fedavg", True, "update"),
        ("central", False, "final"),
    ]


def test_an_audit_of_clients_tells_what_was_seen_and_what_holds(tmp_path):
    spec = dataclasses.replace(
        SMALL, models=2, user_noise=(1.0,), selection=("activity",), seen=("final", "update"),
        attack=("exhaustive", "match"), per_round=(5,),
    )  # fmt: skip
    result = run_study(spec, tmp_path, EngineSettings("debug", 1), progress=False)
    assert not result.failed
    with open_results(Study((spec,)), tmp_path) as results:
        frame, models = results.frame(), results.models()
    assert len(models) == 2
    assert len(models["accuracy_by_round"][0].split()) == 4
    assert len(frame) == 2 * 2 * 2 * 3
    assert set(frame["training"]) == {"fedavg"}
    assert frame["device_share"].between(0, 1).all()
    for seen, claimed in (("final", True), ("update", False)):
        rows = frame[frame["seen"] == seen]
        # Noise is added after the server has seen an update: no claim holds against it.
        assert rows["epsilon"].notna().all() == claimed
        assert rows["group_epsilon"].notna().any() == claimed
        if claimed:  # of the device of the secret, which is at most that of the heaviest
            assert (rows["group_epsilon"] <= rows["epsilon"] + 1e-9).all()
    groups = summarise(frame)
    assert {group["seen"] for group in groups} == {"final", "update"}
    assert all(math.isfinite(group.exact.mean) for group in groups)
    json.dumps([group.as_dict() for group in groups], allow_nan=False)
    assert not (tmp_path / "scratch" / "unfinished").exists() or not any(
        (tmp_path / "scratch" / "unfinished").iterdir()
    )
