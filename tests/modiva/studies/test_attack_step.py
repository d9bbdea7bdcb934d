"""Attacking and scoring the targets of a step: the threat-model wall, and what rows say."""

import dataclasses

import pytest

from attacks.registry import audited_attack
from modiva.condition import Condition, Privacy
from modiva.privacy import PrivacyPlan
from modiva.studies import AuditSpec, EngineSettings, run_study
from modiva.studies.steps.attack import attack_target, score_target
from modiva.training import prepare

CONDITION = Condition(
    size="small",
    patterns=("call", "color:3"),
    repetitions=(30, 0),
    sentences=150,
    epochs=4,
    controls=2,
)


@pytest.fixture(scope="module")
def prepared():
    return prepare(CONDITION, device="cpu")


@pytest.fixture(scope="module")
def trained(prepared):
    return prepared.train((0, 1))


def attack(name, prepared, target):
    return attack_target(audited_attack(name, "loss"), prepared, target)


def test_attacking_needs_no_ledger_and_scoring_alone_reads_it(prepared, trained):
    """Another ledger for the same model, with control and secret exchanged, moves no candidate."""
    target, ledger = trained[0]
    swapped = tuple(
        dataclasses.replace(
            canary, secret=canary.controls[0], controls=(canary.secret, *canary.controls[1:])
        )
        for canary in ledger.canaries
    )
    other = dataclasses.replace(ledger, canaries=swapped)
    found = attack("coordinate", prepared, target)
    honest, lied_to = (score_target(prepared, target, one, found) for one in (ledger, other))
    assert [row.reconstruction for row in honest] == [row.reconstruction for row in lied_to]
    assert [row.secret for row in honest] != [row.secret for row in lied_to]


@pytest.mark.parametrize("name", ["coordinate", "exhaustive", "contrast", "movement"])
def test_one_row_per_canary_and_control(name, prepared, trained):
    for target, ledger in trained:
        rows = score_target(prepared, target, ledger, attack(name, prepared, target))
        assert len(rows) == 2 * (1 + 2)
        assert [row.planted for row in rows] == [1, 0, 0, 0, 0, 0]
        assert [row.repetitions for row in rows] == [30] * 3 + [0] * 3
        assert {row.attack for row in rows} == {name}


def test_controls_are_extracted_at_chance(prepared, trained):
    rows = [
        row
        for target, ledger in trained
        for name in ("coordinate", "contrast")
        for row in score_target(prepared, target, ledger, attack(name, prepared, target))
        if not row.planted
    ]
    # 20 controls of spaces of 10^4 and 1,728: a single hit has probability below 1 %.
    assert sum(row.exact for row in rows) == 0


@pytest.mark.slow
@pytest.mark.parametrize("by", [{"noise_multiplier": 1.0}, {"epsilon": 8.0}])
def test_a_private_target_reports_what_ran(by):
    prepared = prepare(
        dataclasses.replace(CONDITION, repetitions=(10,), privacy=Privacy(**by)), device="cpu"
    )
    ((target, ledger),) = prepared.train((0,))
    for row in score_target(prepared, target, ledger, attack("coordinate", prepared, target)):
        assert row.defense == "dp"
        assert 0 < row.epsilon < row.group_epsilon
        assert row.noise_multiplier > 0
        assert row.target_epsilon == by.get("epsilon")
        assert row.delta == 1e-5
        plan = PrivacyPlan.read(target.result.plan)
        bounds = plan.bounds(row.space_size, row.repetitions)
        assert (row.exact_bound, row.top10_bound) == (bounds.exact_bound, bounds.top10_bound)
        assert 1.44 < row.exposure_bound == bounds.exposure_bound


@pytest.mark.slow
def test_the_engine_debug_gives_the_rows_of_the_engine_local(tmp_path):
    spec = AuditSpec(
        target=("cnn",),
        pattern=("call",),
        repetitions=(10,),
        noise=(0.0,),
        models=2,
        stack=1,
        sentences=100,
        epochs=2,
        attack=("coordinate", "random"),
    )
    frames = [
        run_study(spec, tmp_path / name, EngineSettings(name), progress=False)
        .frame()
        .drop(columns="seconds")
        for name in ("debug", "local")
    ]
    assert len(frames[0]) == 2 * 2 * 6
    assert frames[0].equals(frames[1])
