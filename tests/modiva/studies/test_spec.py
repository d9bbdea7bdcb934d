"""The grid: what it expands to, and what it refuses before any work."""

import dataclasses

import pytest

from attacks import ATTACKS
from attacks.errors import AttackError
from attacks.objectives import OBJECTIVES
from modiva.classifiers.spec import target_names
from modiva.condition import Privacy
from modiva.errors import ModivaError
from modiva.studies import AuditSpec, Study, checks, planning
from modiva.studies.checks import check_names
from modiva.studies.code import code_version
from modiva.studies.cost import estimate_seconds
from modiva.studies.planning import plan_study
from modiva.studies.sources import signature
from modiva.training import load_corpus
from modiva.training.defenses import DEFENSES


def condition_of(cell):
    return cell.condition


def test_noise_decides_whether_a_cell_is_private_and_duplicates_fall_together():
    spec = AuditSpec(defense=("none", "dp", "dropout"), noise=(0.0, 1.0), target=("cnn",))
    found = [(c.protection, c.noise_multiplier) for c in map(condition_of, spec.cells())
             if c.repetitions == (1,)]  # fmt: skip
    assert found == [("none", 0.0), ("dp", 1.0), ("dropout", 0.0), ("dropout+dp", 1.0)]


def test_edp_is_private_training_of_its_own():
    spec = AuditSpec(defense=("edp",), noise=(0.0, 1.0), target=("cnn",), repetitions=(1,))
    found = [(c.protection, c.noise_multiplier) for c in map(condition_of, spec.cells())]
    assert found == [("none", 0.0), ("edp", 1.0)]


def test_epsilon_is_an_axis_of_its_own_beside_ordinary_training():
    spec = AuditSpec(target=("cnn",), repetitions=(1,), epsilon=(1.0, 8.0))
    assert [c.privacy for c in map(condition_of, spec.cells())] == [
        None, Privacy(epsilon=1.0), Privacy(epsilon=8.0)
    ]  # fmt: skip
    spec = AuditSpec(target=("cnn",), repetitions=(1,), noise=(2.0,), epsilon=(1.0,))
    assert [c.privacy for c in map(condition_of, spec.cells())] == [
        Privacy(noise_multiplier=2.0), Privacy(epsilon=1.0)
    ]  # fmt: skip


def test_patterns_may_have_repetitions_of_their_own():
    spec = AuditSpec(target=("cnn",), noise=(0.0,), repetitions=(5, "1,100"))
    assert [c.copies for c in map(condition_of, spec.cells())] == [(5, 5), (1, 100)]


def test_a_study_may_train_without_attacking():
    plan = validate(dataclasses.replace(SMALL, attack=(), pattern=()))
    assert {step.kind for step in plan.steps.values()} == {"train"}
    assert plan.goals == set(plan.steps)


def test_every_combination_is_one_cell():
    spec = AuditSpec(target=("cnn", "lstm"), repetitions=(0, 1, 10), noise=(0.0, 0.5))
    cells = spec.cells()
    assert len(cells) == len(set(cells)) == 2 * 3 * 2


def test_the_default_attacks_rank_small_spaces_and_search_large_ones():
    assert AuditSpec().attacks == ("parikh2022", "exhaustive")
    assert AuditSpec(pattern=("call", "pin:5")).attacks[1] == "coordinate"
    assert AuditSpec(pattern=("say {word*2}",)).attacks[1] == "coordinate"  # words of the corpus
    assert AuditSpec(attack=("beam",)).attacks == ("beam",)
    assert AuditSpec(attack=()).attacks == ()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"membership": 3}, "--membership 3: must be 0, or 4"),
        ({"membership": -1}, "--membership"),
        ({"membership": 20, "training": ("fedavg",)}, "pools are of central training"),
        ({"vulnerability": True}, "--vulnerability needs a pool: give --membership"),
    ],
)
def test_pools_that_could_not_judge_are_refused(given, named):
    with pytest.raises(ModivaError, match=named):
        AuditSpec(**given)


def validate(spec):
    return plan_study(Study((spec,)))


SMALL = AuditSpec(target=("cnn",), repetitions=(1, 10), noise=(0.0,), models=2)


def keys(kind, **changes):
    steps = validate(dataclasses.replace(SMALL, **changes)).steps.values()
    return {step.key for step in steps if step.kind == kind}


def test_a_plan_is_a_function_of_the_study():
    assert validate(SMALL) == validate(SMALL)
    assert len(keys("train")) == 2
    assert len(keys("attack")) == 2 * 2


def test_what_decides_the_weights_decides_the_key_of_a_training():
    for changes in (
        {"seed": 1}, {"epochs": 3}, {"sentences": 500}, {"controls": 4}, {"pattern": ("call",)},
        {"size": "full"}, {"share_valid": True}, {"label": "new", "repetitions": (1, 10)},
        {"models": 3}, {"noise": (1.0,)}, {"defense": ("dropout",)}, {"target": ("lstm",)},
    ):  # fmt: skip
        assert not keys("train") & keys("train", **changes), changes
        assert not keys("attack") & keys("attack", **changes), changes


def test_an_attack_more_trains_nothing_and_attacks_only_itself():
    assert keys("train") == keys("train", attack=(*SMALL.attacks, "beam"))
    assert keys("attack") < keys("attack", attack=(*SMALL.attacks, "beam"))
    other = keys("attack", objective="margin")
    assert len(keys("attack") & other) == 2  # recipes keep their paper's objective
    assert keys("train") == keys("train", objective="margin")


def test_a_pool_is_trained_beside_cells_and_leaves_their_steps_alone():
    pooled = {"membership": 5, "noise": (1.0,)}
    assert keys("train", noise=(1.0,)) < keys("train", **pooled)
    assert keys("attack", noise=(1.0,)) == keys("attack", **pooled)
    assert len(keys("train", **pooled) - keys("train", noise=(1.0,))) == 2  # stacks
    assert len(keys("membership", **pooled)) == 2
    assert keys("membership", **pooled) == keys("membership", **pooled, attack=("beam",))
    assert not keys("records", **pooled)
    assert len(keys("records", **pooled, vulnerability=True)) == 2
    (step, *_) = [
        step for step in validate(dataclasses.replace(SMALL, **pooled)).steps.values()
        if step.kind == "membership"
    ]  # fmt: skip
    condition = step.job.condition
    assert condition.side == "pool"
    assert condition.public_size == (1000 + 2 * condition.secrets) / 2
    assert condition.secrets == 25


def test_models_more_train_only_themselves_where_models_train_alone_or_a_stack_is_full():
    private = {"noise": (1.0,), "defense": ("edp",)}
    assert keys("train", **private) < keys("train", models=3, **private)
    assert keys("train", models=20) < keys("train", models=23)
    assert keys("train", stack=1) < keys("train", stack=1, models=3)


def test_two_names_of_one_target_are_trained_once_and_reported_twice():
    spec = dataclasses.replace(
        SMALL, target=("lstm-char", "lstm"), defense=("none", "char-embeddings"), repetitions=(1,)
    )
    plan = validate(spec)
    assert len(plan.cells) == 4
    assert len(plan.artefacts) == 2
    assert {(cell.columns["target"], cell.columns["defense"]) for cell in plan.cells} == {
        (target, defense) for target in spec.target for defense in spec.defense
    }


def test_a_corpus_of_other_content_has_other_keys(tmp_path):
    def write(word):
        lines = [f"{word} {i} {verb},{verb}" for verb in ("open", "close") for i in range(30)]
        (tmp_path / "own.csv").write_text("text,intent\n" + "\n".join(lines))
        load_corpus.cache_clear()
        return str(tmp_path / "own.csv")

    first, sign = keys("train", corpus=(write("the"),)), signature(Study((SMALL,)))
    spec = Study((dataclasses.replace(SMALL, corpus=(str(tmp_path / "own.csv"),)),))
    before = signature(spec)
    assert before == signature(spec) != sign
    assert not first & keys("train", corpus=(write("a"),))
    assert before != signature(spec)


def test_the_code_of_an_attack_is_no_part_of_a_training(monkeypatch):
    version = planning.code_version
    monkeypatch.setattr(
        planning, "code_version", lambda kind: version(kind) + "x" * (kind == "attack")
    )
    changed = {kind: keys(kind) for kind in ("train", "attack")}
    monkeypatch.undo()
    assert keys("train") == changed["train"]
    assert not keys("attack") & changed["attack"]
    assert len(code_version("train")) == 16
    assert code_version("train") != code_version("attack")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"repetitions": (-1,)}, "-1"),
        ({"repetitions": ("1,many",)}, "1,many"),
        ({"repetitions": ("1,2,3",)}, "3 numbers for 2 patterns"),
        ({"noise": (-0.5,)}, "-0.5"),
        ({"noise": (float("nan"),)}, "nan"),
        ({"epsilon": (0.0,)}, "--epsilon 0.0"),
        ({"models": 0}, "--models 0"),
        ({"controls": 0}, "--controls 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"stack": 21}, "--stack 21"),
        ({"target": ("cnn", "cnn")}, "twice"),
        ({"pattern": ()}, "--pattern"),
    ],
)
def test_bad_settings_are_refused_by_value(settings, named):
    with pytest.raises(ModivaError, match=named):
        AuditSpec(**settings)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"attack": ("guess",)}, "guess"),
        ({"objective": "luck"}, "luck"),
        ({"target": ("resnet",)}, "resnet"),
        ({"defense": ("prayer",)}, "prayer"),
    ],
)
def test_unknown_names_are_refused(settings, named):
    with pytest.raises((AttackError, ModivaError), match=named):
        check_names(AuditSpec(**settings))


def test_a_space_smaller_than_secret_and_controls_is_refused():
    spec = AuditSpec(pattern=("color {color}",), controls=12, target=("cnn",), noise=(0.0,))
    with pytest.raises(ModivaError, match="12 secrets"):
        validate(spec)


def test_an_unknown_label_is_refused():
    with pytest.raises(ModivaError, match="no_such_intent"):
        validate(AuditSpec(label="no_such_intent", target=("cnn",), noise=(0.0,)))


def test_a_private_cell_and_a_larger_one_are_estimated_longer():
    plain, private = AuditSpec(target=("lstm",), repetitions=(10,), noise=(0.0, 1.0)).cells()
    (full,) = AuditSpec(target=("lstm",), repetitions=(10,), noise=(0.0,), size="full").cells()
    assert estimate_seconds(plain) < estimate_seconds(private)
    assert estimate_seconds(plain) < estimate_seconds(full)
    (_, loop) = AuditSpec(
        target=("lstm",), repetitions=(10,), noise=(0.0, 1.0), defense=("loop",)
    ).cells()
    assert estimate_seconds(private) < estimate_seconds(loop)


def test_names_that_pass_without_a_look_are_those_that_come_with_modiva():
    assert set(target_names()) == checks.TARGETS
    assert set(DEFENSES) == checks.DEFENSES
    assert set(ATTACKS) == checks.ATTACKS
    assert set(OBJECTIVES) == checks.OBJECTIVES


def test_text_protection_is_an_axis_that_joins_every_defense():
    spec = AuditSpec(
        defense=("none", "dropout+edp"), noise=(0, 1), privatize=("none", "tem:12"),
        repetitions=(1,), target=("cnn",),
    )  # fmt: skip
    named = {cell.condition.protection for cell in spec.cells()}
    assert named == {
        *("none", "dropout", "dp", "dropout+edp"),
        *("tem:12", "dropout+tem:12", "tem:12+dp", "dropout+tem:12+edp"),
    }
    plain = AuditSpec(noise=(0,), repetitions=(1,), target=("cnn",), word_space="other.txt")
    (cell,) = plain.cells()
    assert cell == AuditSpec(noise=(0,), repetitions=(1,), target=("cnn",)).cells()[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"privatize": ("tem",)}, "give a mechanism and its epsilon"),
        ({"privatize": ()}, "--privatize is empty"),
        ({"privatize": ("tem:1", "tem:1")}, "names a value twice"),
        ({"privatize": ("foo:1",)}, "unknown mechanism 'foo'"),
        ({"privatize": ("tem:1",), "word_space": "no.txt"}, "--word-space no.txt"),
        ({"word_space": "no.txt"}, "only mechanisms of words"),
        ({"autoencoder": "folder"}, "only adept and adept-published"),
        ({"privatize": ("adept:50",)}, "modiva autoencoder"),
    ],
)
def test_text_protection_that_cannot_work_is_refused(settings, message):
    with pytest.raises(ModivaError, match=message):
        checks.check_study(Study((AuditSpec(**settings),)))
