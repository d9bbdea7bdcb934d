"""The learned attacks in a study: the attacker has sentences of its own."""

import dataclasses

import pandas as pd
import pytest

from attacks import ATTACKS
from modiva.studies import Study
from modiva.studies.planning import plan_study
from modiva.studies.run import EngineSettings, run_study
from modiva.studies.spec import LEARNED, AuditSpec
from modiva.studies.steps.fit import REPETITIONS, shadow_cells

SPEC = AuditSpec(
    target=("cnn",),
    pattern=("color:2",),
    repetitions=(30,),
    noise=(0.0,),
    models=2,
    sentences=150,
    epochs=4,
    attack=("random", "ranker", "ranker-initial"),
    controls=2,
    shadows=5,
)


def test_the_names_of_learned_attacks_are_those_that_learn():
    assert {name for name, attack in ATTACKS.items() if "ranker" in attack.needs} == set(LEARNED)


def test_targets_and_shadow_models_share_no_seed():
    (cell,) = SPEC.cells()
    assert cell.condition.side == "targets"
    seeds = set(cell.model_seeds)
    for shadows in shadow_cells(cell):
        assert shadows.condition.side == "shadows"
        assert not seeds & set(shadows.model_seeds)
        seeds |= set(shadows.model_seeds)


@pytest.mark.parametrize("shadows", [1, 5, 41])
def test_shadow_models_have_secrets_of_every_repetition_in_turn(shadows):
    (cell,) = dataclasses.replace(SPEC, shadows=shadows).cells()
    cells = shadow_cells(cell)
    assert sum(one.models for one in cells) == shadows
    assert [one.condition.repetitions for one in cells] == [
        (number,) for number in REPETITIONS[: len(cells)]
    ]
    assert max(one.models for one in cells) - min(one.models for one in cells) <= 1


def test_an_audit_without_a_learned_attack_trains_on_all_sentences():
    (cell,) = dataclasses.replace(SPEC, attack=("random",)).cells()
    assert cell.condition.side == "all"
    plan = plan_study(Study((dataclasses.replace(SPEC, attack=("contrast",)),)))
    assert {step.kind for step in plan.steps.values()} == {"train", "attack"}


def test_a_ranker_is_fitted_once_for_all_repetitions():
    plan = plan_study(Study((dataclasses.replace(SPEC, repetitions=(1, 10, 30)),)))
    kinds = [step.kind for step in plan.steps.values()]
    assert kinds.count("fit") == 2  # with and without initial weights, of the same shadow models
    assert kinds.count("train") == 3 + len(REPETITIONS)


@pytest.mark.slow
def test_a_study_with_rankers_runs_and_reproduces(tmp_path):
    def rows(folder, engine):
        result = run_study(Study((SPEC,)), tmp_path / folder, engine, progress=False)
        assert not result.failed
        return result.frame().drop(columns="seconds")

    frame = rows("a", EngineSettings(workers=2))
    assert frame.groupby("attack").size().to_dict() == dict.fromkeys(SPEC.attack, 2 * 3)
    learned = frame[frame["attack"].isin(LEARNED)]
    assert learned["rank"].between(1, 144).all()
    pd.testing.assert_frame_equal(rows("b", EngineSettings("debug")), frame)
