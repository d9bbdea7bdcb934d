"""What protections cost groups, in words, as a table and as a figure."""

import matplotlib as mpl
import pandas as pd
import pytest

from modiva.fairness.groupings import Grouped
from modiva.fairness.groups import group_rows
from modiva.measure.columns import ModelRow
from modiva.report import groups
from modiva.report.page import write_report
from modiva.report.plots import figures
from modiva.report.plots.groups import by_group
from modiva.report.plots.style import STYLE
from modiva.report.words import prepare

# Accuracy without and with a protection, by how many sentences an intent has.
SHARES = {"100–200 sentences": (0.95, 0.9), "5–9 sentences": (0.8, 0.3)}
COMMON, RARE = SHARES


def measured(noise, seed):
    columns = dict.fromkeys(ModelRow.__dataclass_fields__)
    model = ModelRow(**columns | {
        "corpus": "made", "target": "cnn", "size": "small", "defense": "none",
        "noise_multiplier": noise, "planting": "pin × 10", "model_seed": seed,
    })  # fmt: skip
    sentences = [Grouped("x", group, group) for group in SHARES for _ in range(100)]
    named = [
        group if n < 100 * shares[noise > 0] + seed else "other"
        for group, shares in SHARES.items()
        for n in range(100)
    ]
    return [vars(row) for row in group_rows(model, "frequency", sentences, named)]


@pytest.fixture(scope="module")
def tested() -> pd.DataFrame:
    return prepare(
        [row for noise in (0.0, 1.0) for seed in range(4) for row in measured(noise, seed)]
    )


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return prepare([
        {"corpus": "made", "target": "cnn", "defense": "none", "noise_multiplier": noise,
         "attack": "exhaustive", "pattern": "pin", "length": 4, "repetitions": 10, "label": label,
         "planted": planted, "exact": 0, "exposure": bits if planted else 1.0,
         "space_size": 10_000, "model_seed": seed, "epsilon": None, "group_epsilon": None}
        for noise in (0.0, 1.0) for seed in range(4) for planted in (0, 1)
        for label, bits in ((COMMON, 9.0 - 5 * noise), (RARE, 7.0))
    ])  # fmt: skip


def test_one_sentence_sets_common_beside_rare_and_tells_what_stays_exposed(tested, rows):
    said = groups.sentence(rows, tested)
    assert "DP σ = 1 costs 5 points (5 to 5) of accuracy on intents with 100–200 sentences" in said
    assert "50 points (50 to 50) on those with 5–9 sentences" in said
    assert "(R = 10) keep an exposure of 7.0 bits" in said
    assert groups.sentence(rows[:0], tested).endswith("on those with 5–9 sentences.")
    assert groups.sentence(rows, tested[tested["condition"] == "no defense"]) == ""


def test_the_table_has_every_group_with_its_cost_common_ones_first(tested):
    lines = groups.table(tested)
    assert [line[3] for line in lines] == [COMMON, COMMON, RARE, RARE]
    assert {line[1] for line in lines} == {"no defense", "DP σ = 1"}
    assert [line[-1] for line in lines if line[1] == "no defense"] == ["0.0 (0 to 0)"] * 2
    assert {len(line) for line in lines} == {len(groups.HEADINGS)}


def test_the_figure_has_accuracy_above_and_exposure_below(tested, rows):
    with mpl.rc_context(STYLE):
        drawing = by_group(tested, rows)
        assert len(drawing.figure.axes) == 2
        assert len(by_group(tested, rows[:0]).figure.axes) == 1
    assert "CNN, DP σ = 1: 92 %" in drawing.alt
    labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert labels == ["no defense", "DP σ = 1"]


def test_the_page_shows_groups_where_they_were_measured(tested, model_rows, tmp_path):
    drawn = figures(model_rows, tmp_path / "figures", {"groups": tested})
    assert "cost_by_group" in [path.stem for path in drawn]
    page = write_report(tmp_path, model_rows, [], {}, drawn, {"groups": tested}).read_text()
    assert 'id="groups"' in page
    assert 'id="groups"' not in write_report(tmp_path, model_rows, [], {}, []).read_text()


def test_exposure_by_label_is_found_where_clients_trained(tested, rows):
    """Rows of attacks name what was seen of the rounds, and those of groups do not."""
    clients = {"training": "fedavg", "partition": "label:1", "selection": "uniform",
               "per_round": 10.0, "periods": 1.0}  # fmt: skip
    federated = prepare(tested.drop(columns="condition").assign(**clients))
    attacked = prepare(rows.drop(columns="condition").assign(**clients, seen="final"))
    found = groups.by_label(attacked, federated)
    assert set(found["condition"]) == set(federated["condition"])


def test_a_column_has_a_sentence_and_a_figure_of_its_own_without_values_of_few_sentences(tested):
    columns = {COMMON: "en-US", RARE: "sw-KE"}
    own = tested.assign(grouping="locale", group=tested["group"].map(columns))
    few = own[own["group"] == "sw-KE"].assign(group="de-DE", tested=3, accuracy=1.0)
    both = pd.concat([tested, own, few])
    said = groups.sentence(tested[:0], both)
    assert "where locale is en-US and 50 points (50 to 50) where it is sw-KE." in said
    assert "de-DE" not in said
    with mpl.rc_context(STYLE):
        drawing = by_group(both, tested[:0], number=1)
    assert drawing.name == "cost_by_group_2"
    assert drawing.title == "What protections cost, by locale"
