"""The learned attacks in a study: the attacker has sentences of its own."""

import dataclasses

import pandas as pd
import pytest

from attacks import RANKED
from modiva.corpora import load
from modiva.studies import Study
from modiva.studies.planning import plan_study
from modiva.studies.run import EngineSettings, run_study
from modiva.studies.spec import LEARNED, AuditSpec
from modiva.studies.steps.fit import REPETITIONS, shadow_cells
from modiva.studies.steps.initial import initial_model
from modiva.studies.steps.planting import cell_patterns, model_seeds, plant_target, sentences_of
from modiva.studies.steps.train import train_targets

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
    assert {name for name, attack in RANKED.items() if attack.learned} == set(LEARNED)


def test_targets_and_shadow_models_share_no_sentence_and_no_seed():
    corpus = load("home-assistant")
    (cell,) = SPEC.cells()
    assert cell.side == "targets"
    mine = {text for text, _ in sentences_of(cell, corpus).train}
    seeds = set(model_seeds(cell))
    for shadows in shadow_cells(cell):
        its = {text for text, _ in sentences_of(shadows, corpus).train}
        assert mine
        assert its
        assert not mine & its
        assert mine | its == {text for text, _ in corpus.train}
        assert not seeds & set(model_seeds(shadows))
        seeds |= set(model_seeds(shadows))


@pytest.mark.parametrize("shadows", [1, 5, 41])
def test_shadow_models_have_secrets_of_every_repetition_in_turn(shadows):
    (cell,) = dataclasses.replace(SPEC, shadows=shadows).cells()
    cells = shadow_cells(cell)
    assert sum(one.models for one in cells) == shadows
    assert [one.repetitions for one in cells] == list(REPETITIONS[: len(cells)])
    assert max(one.models for one in cells) - min(one.models for one in cells) <= 1


def test_an_audit_without_a_learned_attack_trains_on_all_sentences():
    (cell,) = dataclasses.replace(SPEC, attack=("random",)).cells()
    assert cell.side == "all"
    plan = plan_study(Study((dataclasses.replace(SPEC, attack=("contrast",)),)))
    assert {step.kind for step in plan.steps.values()} == {"train", "attack"}


def test_a_ranker_is_fitted_once_for_all_repetitions():
    plan = plan_study(Study((dataclasses.replace(SPEC, repetitions=(1, 10, 30)),)))
    kinds = [step.kind for step in plan.steps.values()]
    assert kinds.count("fit") == 2  # with and without initial weights, of the same shadow models
    assert kinds.count("train") == 3 + len(REPETITIONS)


def test_the_initial_model_is_what_training_began_with():
    """Trained for no step at all, a target is its initial model."""
    corpus = load("home-assistant")
    (cell,) = SPEC.cells()
    patterns = cell_patterns(cell, corpus)
    (target,) = train_targets(cell, corpus, patterns, range(1))
    first = initial_model(cell, corpus, patterns, target).state_dict()
    last = target.classifier.model.state_dict()
    assert first.keys() == last.keys()
    assert all(first[name].shape == last[name].shape for name in last)
    # A word that stood in no sentence of the target has felt weight decay alone.
    planted = plant_target(cell, corpus, patterns, target.model_seed)
    seen = {word for text, _ in planted.train for word in text.split()}
    unseen = [word for word in patterns[0].slots[0].options if word not in seen]
    assert unseen
    rows = [target.classifier.tokenizer.convert_tokens_to_ids(word) for word in unseen]
    table = "embedding.words.weight"
    before, after = first[table][rows], last[table][rows]
    ratio = float((before * after).sum() / before.square().sum())
    assert 0.9 < ratio <= 1
    assert (after - ratio * before).norm() < 1e-3 * before.norm()


def test_a_study_with_rankers_runs_and_reproduces(tmp_path):
    def rows(folder, workers):
        engine = EngineSettings(workers=workers)
        result = run_study(Study((SPEC,)), tmp_path / folder, engine, progress=False)
        assert not result.failed
        return result.frame().drop(columns="seconds")

    frame = rows("a", 2)
    assert frame.groupby("attack").size().to_dict() == dict.fromkeys(SPEC.attack, 2 * 3)
    learned = frame[frame["attack"].isin(LEARNED)]
    assert learned["rank"].between(1, 144).all()
    pd.testing.assert_frame_equal(rows("b", 1), frame)
