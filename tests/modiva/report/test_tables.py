"""Tables come back as they went, and a spreadsheet runs nothing that is in them."""

import csv
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modiva.measure import summarise
from modiva.measure.columns import COLUMNS
from modiva.report.answer import answer
from modiva.report.tables import (
    console_table,
    read_rows,
    write_flat_summary,
    write_rows,
    write_summary,
)
from modiva.report.words import compact, prepare


def test_rows_come_back_and_give_the_same_groups(audit_rows, tmp_path):
    path = write_rows(tmp_path / "rows.csv", audit_rows)
    with path.open(newline="") as file:
        header = next(csv.reader(file))
    assert header == [name for name in COLUMNS if name in audit_rows[0]]
    back = read_rows(path)
    assert len(back) == len(audit_rows)
    assert list(back["position_hits"]) == [row["position_hits"] for row in audit_rows]
    assert list(back["secret"]) == [row["secret"] for row in audit_rows]
    assert [g.as_dict() for g in summarise(back)] == [g.as_dict() for g in summarise(audit_rows)]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "''@x"])
def test_a_spreadsheet_runs_nothing(text, tmp_path):
    path = write_rows(tmp_path / "rows.csv", [{"corpus": text, "exact": 1, "hamming": -2}])
    with path.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["corpus"] == "'" + text
    assert row["hamming"] == "-2"  # a number stays one
    assert read_rows(path)["corpus"][0] == text


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_text_survives(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    write_rows(path, [{"corpus": text, "secret": "a,b\n\"c'"}])
    assert read_rows(path)["corpus"][0] == text
    assert read_rows(path)["secret"][0] == "a,b\n\"c'"


def test_what_is_missing_is_an_empty_cell(tmp_path):
    rows = [{"corpus": "x", "rank": None, "exposure": math.nan, "epsilon": math.inf}]
    path = write_rows(tmp_path / "rows.csv", rows)
    with path.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["rank"], row["exposure"], row["epsilon"]) == ("", "", "inf")


def test_a_summary_is_strict_json(audit_rows, tmp_path):
    groups = summarise(audit_rows)
    path = write_summary(tmp_path / "summary.json", [*groups, {"epsilon": math.inf}])
    back = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert back[:-1] == [group.as_dict() for group in groups]
    assert back[-1] == {"epsilon": None}


def test_the_terminal_shows_each_cell_once_least_defended_first(audit_rows):
    lines = console_table(summarise(audit_rows)).splitlines()
    assert lines[0].startswith("corpus home-assistant, attack exhaustive, pattern all")
    assert len(lines) == 2 + 2 * 3 * 3
    assert "no defense" in lines[2]
    assert "DP σ = 1" in lines[10]
    assert "(floor 0.69)" in lines[2]
    assert max(map(len, lines)) < 110


def test_the_terminal_shows_the_floor_of_targets_without_a_canary(simulated):
    rows = simulated(targets=("cnn",), repetitions=(0,), noises=(0.0,), models=3)
    last = console_table(summarise(rows)).splitlines()[-1].split()
    assert "–" in last
    assert console_table([]) == "nothing was measured"


def test_cells_asked_for_by_epsilon_are_named_by_it(asked_by_epsilon):
    lines = console_table(summarise(asked_by_epsilon)).splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == [
        *["no defense"] * 2,
        *["DP ε = 8"] * 2,
        *["DP ε = 3"] * 2,
    ]


def test_trained_models_are_a_table_of_accuracy_by_condition(model_rows):
    lines = console_table(summarise(model_rows)).splitlines()
    assert lines[0] == "corpus home-assistant, planting call × 10"
    assert lines[1].split() == ["target", "defense", "epsilon", "accuracy", "n"]
    assert len(lines) == 2 + 2 * 3
    assert lines[2].startswith("CNN     no defense")
    assert lines[2].endswith("4 models")
    said = answer(prepare(model_rows))
    assert said.headline == "24 models trained, none attacked."
    assert {fact.label for fact in said.facts} == {"Highest test accuracy", "Lowest test accuracy"}
    assert "hardly learned" in said.warnings[0]


def test_a_secret_in_several_sentences_has_the_epsilon_of_its_group(simulated):
    rows = simulated(targets=("cnn",), noises=(1.0,), repetitions=(1, 10), models=2)
    *_, header, once, ten = console_table(summarise(rows)).splitlines()
    place = header.index("group epsilon")
    assert [line[place:].split()[0] for line in (once, ten)] == ["3.42", "34.2"]
    [bound] = [fact for fact in answer(prepare(rows)).facts if "Privacy loss" in fact.label]
    said = f"{bound.label} {bound.value} {bound.note}"
    assert (
        said == "Privacy loss of all 10 repetitions ε = 34.2 an upper bound, 3.42 for one sentence"
    )


def test_the_flat_summary_has_each_rate_with_its_interval(audit_rows, tmp_path):
    groups = summarise(audit_rows)
    path = write_flat_summary(tmp_path / "summary.csv", groups)
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(groups)
    for line, group in zip(lines, groups, strict=True):
        assert (line["target"], int(line["planted"])) == (group["target"], group["planted"])
        assert float(line["exact"]) == pytest.approx(group.exact.mean, rel=1e-5)
        assert float(line["exact_upper"]) == pytest.approx(group.exact.upper, rel=1e-5)


@pytest.mark.parametrize("number", [0.31, 4.08, 302, 1320, 9_994, 9_996, 21_009, 943_128, 999_999,
                                    1.25e6, 9.996e6, 12e6, 3e9])  # fmt: skip
def test_a_compact_bound_is_short_and_never_below_the_number(number):
    text = compact(number)
    unit = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1)
    value = float(text.rstrip("kMG").replace(",", "")) * unit
    assert len(text) <= 5
    assert number * 0.999 <= value <= number * 1.12
