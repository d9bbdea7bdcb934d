"""One cell: the threat-model wall, the pairing of secrets, and reproduction to the bit."""

import dataclasses
import json

import pytest

from modiva.corpora import load
from modiva.studies.cells import run_cell
from modiva.studies.spec import AuditSpec
from modiva.studies.steps.attack import attack_target, named_attack
from modiva.studies.steps.planting import cell_patterns, model_seeds, plant_target
from modiva.studies.steps.train import load_targets, save_targets, train_targets

SPEC = AuditSpec(
    target=("cnn",),
    pattern=("call", "color:3"),
    repetitions=(30,),
    noise=(0.0,),
    models=2,
    sentences=150,
    epochs=4,
    attack=("coordinate", "random"),
    controls=2,
)


@pytest.fixture(scope="module")
def cell():
    return SPEC.cells()[0]


@pytest.fixture(scope="module")
def corpus():
    return load("home-assistant")


@pytest.fixture(scope="module")
def trained(cell, corpus):
    return train_targets(cell, corpus, cell_patterns(cell, corpus), range(cell.models), "cpu")


def attack_all(cell, corpus, patterns, target):
    return [
        row
        for name in cell.attack
        for row in attack_target(
            cell, corpus, patterns, target, named_attack(name, cell.objective), {}
        )
    ]


def plant_targets(cell, corpus, patterns):
    return [plant_target(cell, corpus, patterns, seed) for seed in model_seeds(cell)]


def _without_time(rows):
    return json.dumps([{k: v for k, v in row.items() if k != "seconds"} for row in rows])


def test_a_cell_gives_one_row_a_model_canary_attack_and_secret(cell):
    rows, seconds = run_cell(cell, "cpu")
    assert len(rows) == 2 * 2 * 2 * (1 + 2)
    assert sum(row["planted"] for row in rows) == 2 * 2 * 2
    assert {row["attack"] for row in rows} == {"coordinate", "random"}
    assert set(seconds) == {"training", "attacks"}


def test_a_cell_is_the_same_to_the_bit_when_run_again(cell):
    assert _without_time(run_cell(cell, "cpu")[0]) == _without_time(run_cell(cell, "cpu")[0])


def test_reconstructions_do_not_change_when_the_ledger_is_replaced(cell, corpus, trained):
    patterns = cell_patterns(cell, corpus)
    target = trained[0]
    ledger = target.ledger
    # Another ledger for the same model: every canary claims its first control as its secret.
    swapped = tuple(
        dataclasses.replace(
            canary,
            secret=canary.controls[0],
            controls=(canary.secret, *canary.controls[1:]),
        )
        for canary in ledger.canaries
    )
    other = dataclasses.replace(target, ledger=dataclasses.replace(ledger, canaries=swapped))
    honest = attack_all(cell, corpus, patterns, target)
    lied_to = attack_all(cell, corpus, patterns, other)
    assert [row["reconstruction"] for row in honest] == [row["reconstruction"] for row in lied_to]
    assert [row["secret"] for row in honest] != [row["secret"] for row in lied_to]


def test_a_target_that_went_through_its_checkpoint_is_attacked_with_the_same_result(
    trained, cell, corpus, tmp_path
):
    save_targets(trained, tmp_path)
    patterns = cell_patterns(cell, corpus)
    for target, again in zip(trained, load_targets(tmp_path), strict=True):
        assert again.result == target.result
        assert again.ledger == target.ledger
        assert _without_time(attack_all(cell, corpus, patterns, again)) == _without_time(
            attack_all(cell, corpus, patterns, target)
        )


def test_models_of_one_index_share_their_secrets_across_cells_and_others_do_not(cell, corpus):
    patterns = cell_patterns(cell, corpus)
    other = dataclasses.replace(cell, repetitions=1, target="lstm", defense="dropout")
    ours, theirs = (plant_targets(c, corpus, patterns) for c in (cell, other))
    secrets = [[canary.secret for canary in one.ledger.canaries] for one in ours]
    assert secrets == [[canary.secret for canary in one.ledger.canaries] for one in theirs]
    assert secrets[0] != secrets[1]
    assert len(set(model_seeds(cell))) == cell.models


def test_nothing_is_planted_at_zero_repetitions(cell, corpus):
    floor = dataclasses.replace(cell, repetitions=0)
    rows, _ = run_cell(floor, "cpu")
    assert {row["planted"] for row in rows} == {0}
    texts = {text for one in plant_targets(floor, corpus, cell_patterns(floor, corpus))
             for text, _ in one.train}  # fmt: skip
    assert not any(text.startswith("call ") and text[5:].replace(" ", "").isdigit()
                   for text in texts)  # fmt: skip


def test_controls_are_extracted_at_chance(trained, cell, corpus):
    patterns = cell_patterns(cell, corpus)
    rows = [row for target in trained for row in attack_all(cell, corpus, patterns, target)]
    controls = [row for row in rows if not row["planted"]]
    # 16 controls of spaces of 10^4 and 1,728: a single hit has probability below 0.5 %.
    assert sum(row["exact"] for row in controls) == 0


def test_several_secrets_of_a_pattern_share_a_model_and_the_validation_split(cell, corpus):
    several = dataclasses.replace(cell, secrets=2, models=1, share_valid=True)
    rows, _ = run_cell(several, "cpu")
    planted = [row for row in rows if row["planted"] and row["attack"] == "coordinate"]
    assert [row["pattern"] for row in planted] == ["call", "call", "color", "color"]
    assert len({row["secret"] for row in planted}) == 4
    assert all(len(row["secret"].split()) == row["length"] for row in planted)
    (only,) = plant_targets(several, corpus, cell_patterns(several, corpus))
    assert all(canary.valid_repetitions >= 1 for canary in only.ledger.canaries)


@pytest.mark.slow
def test_a_private_cell_reports_what_ran(cell):
    private = dataclasses.replace(cell, noise=1.0, defense="dp", models=1, attack=("coordinate",))
    rows, _ = run_cell(private, "cpu")
    for row in rows:
        assert row["defense"] == "dp"
        assert 0 < row["epsilon"] < row["group_epsilon"]
        assert row["delta"] == 1e-5
