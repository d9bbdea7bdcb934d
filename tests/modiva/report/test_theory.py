"""What theory allows stands beside what attacks reached."""

import pytest

from modiva.measure import summarise
from modiva.report.answer import answer
from modiva.report.cells import table_of
from modiva.report.tables import console_table
from modiva.report.words import prepare, share


def test_the_sentence_names_the_most_that_any_attack_can_reach(simulated):
    rows = simulated(
        targets=("cnn",), patterns=("pin",), repetitions=(1,), noises=(0.0, 1.0), models=20
    )
    for row in rows:
        if row["noise_multiplier"]:
            hit = int(row["planted"] and row["model_seed"] == 0)
            row |= {"exact": hit, "rank": 3, "exposure": 2.04}
    (said,) = [line for line in answer(prepare(rows)).sentences if "No attack" in line]
    assert said == (
        "No attack on the CNN with DP σ = 1 can name more than 0.16 % of secrets said once; the "
        "strongest here, exhaustive, named 1 of 20, and their exposure was 2.0 bits of at most 2.6."
    )


def test_noise_that_excludes_nothing_is_said_to(simulated):
    rows = simulated(targets=("cnn",), repetitions=(100,), noises=(0.0, 0.5))
    said = answer(prepare(rows)).sentences[-1]
    assert said.startswith("The noise of this run excludes little: attacks on the CNN with DP")
    assert "may name up to 100 % of secrets said 100 times; the strongest here" in said


def test_without_privacy_there_is_neither_sentence_nor_column(simulated):
    rows = simulated(targets=("cnn",), noises=(0.0,))
    assert not any("No attack" in line for line in answer(prepare(rows)).sentences)
    assert "exact_bound" not in [column.name for column in table_of(summarise(rows)).columns]


def test_bounds_stand_in_the_table_beside_what_came_back(audit_rows):
    table = table_of(summarise(audit_rows))
    names = [column.name for column in table.columns]
    assert names.index("exact_bound") == names.index("exact") + 1
    shown = {line[names.index("exact_bound")].text for line in table.lines}
    assert {"–", "14 %", "0.16 %", "100 %"} <= shown


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0.00259, "0.26 %"), (0.0026, "0.26 %"), (0.002601, "0.27 %"), (0.1335, "14 %"),
     (0.996, "100 %"), (0.99, "99 %"), (1.0, "100 %"), (2.1e-8, "2.1e-6 %")],
)  # fmt: skip
def test_a_bound_is_never_rounded_down(bound, text):
    assert share(bound) == text


def refuted(simulated, hits: int, noise: float = 1.0):
    """An audit of 20 models at R = 1, in so many of which the secret ranks first."""
    rows = simulated(
        targets=("cnn",), patterns=("pin",), repetitions=(1,), noises=(0.0, noise), models=20
    )
    for row in rows:
        if row["noise_multiplier"]:
            row["rank"] = 1 if row["planted"] and row["model_seed"] < hits else 5000
    return rows


def test_a_claim_that_ranks_refute_is_shouted_in_table_and_page(simulated):
    rows = refuted(simulated, hits=5)
    (warning,) = [line for line in answer(prepare(rows)).warnings if "VIOLATED" in line]
    assert "CNN on home-assistant, DP σ = 1, 1 repetition, pin, by exhaustive" in warning
    assert "where 3.42 is claimed" in warning
    (group,) = [g for g in summarise(rows) if g["planted"] and g["noise_multiplier"]]
    assert group.violated
    assert group.epsilon_lower > 3.42
    assert group.audit_p < 1e-6
    table = table_of(summarise(rows))
    place = [column.name for column in table.columns].index("group_epsilon")
    assert "3.42 VIOLATED" in [line[place].text for line in table.lines]
    assert "3.42 VIOLATED" in console_table(summarise(rows))


def test_each_pattern_is_audited_with_the_secrets_that_it_allows(simulated):
    """Spaces of several sizes are no one group, and a claim is refuted once."""
    rows = simulated(
        targets=("cnn",), patterns=("pin", "color"), repetitions=(1,), noises=(0.0, 1.0), models=20
    )
    for row in rows:
        if row["noise_multiplier"]:
            hit = row["planted"] and row["pattern"] == "color" and row["model_seed"] < 4
            row["rank"] = 1 if hit else 5000
    (warning,) = [line for line in answer(prepare(rows)).warnings if "VIOLATED" in line]
    assert ", color, by exhaustive" in warning


def test_claims_that_hold_are_not_shouted(simulated, audit_rows):
    for rows in (refuted(simulated, hits=0), audit_rows):
        assert not any("VIOLATED" in line for line in answer(prepare(rows)).warnings)
        assert not any("null" in line for line in answer(prepare(rows)).warnings)
        assert "VIOLATED" not in console_table(summarise(rows))


def test_controls_are_the_null_of_the_audit(simulated):
    rows = refuted(simulated, hits=0)
    (null,) = [g for g in summarise(rows) if not g["planted"] and g["noise_multiplier"]]
    assert (null.epsilon_lower, null.audit_p) == (0, 1)
    for row in rows:
        row["rank"] = 1 if row["model_seed"] < 5 else 5000
    said = answer(prepare(rows)).warnings
    assert any(line.startswith("The audit of ranks refutes its own null") for line in said)


def test_without_ranks_or_with_several_spaces_nothing_is_audited(simulated):
    rows = refuted(simulated, hits=5)
    for row in rows:
        row["rank"] = None
    assert {group.epsilon_lower for group in summarise(rows)} == {None}
    both = simulated(targets=("cnn",), patterns=("pin", "zip"), repetitions=(1,), models=3)
    groups = summarise([row | {"length": 4} for row in both])
    assert {g.epsilon_lower is None for g in groups if g["pattern"] == "all"} == {True}
    assert {g.epsilon_lower is None for g in groups if g["pattern"] == "pin"} == {False}
