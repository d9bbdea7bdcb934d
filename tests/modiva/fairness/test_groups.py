"""Groups of test sentences, and what protections cost them."""

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from modiva.corpora import Corpus
from modiva.corpora.corpus import Example
from modiva.errors import ModivaError
from modiva.fairness.groupings import GROUPINGS, Grouped, grouped, with_typo
from modiva.fairness.groups import group_rows
from modiva.fairness.paired import costs, exposures
from modiva.measure.columns import ModelRow


def corpus(**sizes):
    train = [Example(f"please {intent} number {n}", intent) for intent, m in sizes.items()
             for n in range(m)]  # fmt: skip
    test = [Example(f"now {intent} for mary and so on", intent) for intent in sizes]
    test += [Example(f"please {intent} number 1", intent) for intent in sizes]
    return Corpus("made", tuple(train), (), tuple(test))


def model_row(seed, **changed):
    columns = dict.fromkeys(ModelRow.__dataclass_fields__)
    given = {"corpus": "made", "target": "cnn", "size": "small", "defense": "none",
             "noise_multiplier": 0.0, "planting": "pin × 10", "model_seed": seed}  # fmt: skip
    return ModelRow(**{**columns, **given, **changed})


def rows(hits, **changed):
    """Rows of models that name a given share of each group's 100 sentences right."""
    found = []
    for seed, shares in enumerate(hits):
        sentences = [Grouped("x", "a", group) for group in shares for _ in range(100)]
        named = ["a" if n < share * 100 else "b" for share in shares.values() for n in range(100)]
        found += group_rows(model_row(seed, **changed), "frequency", sentences, named)
    return pd.DataFrame([vars(row) for row in found])


def test_frequency_parts_intents_by_ratio_and_never_parts_equal_ones():
    data = corpus(rare=3, few=3, middle=20, more=20, common=90, most=100)
    found = {one.intent: one.group for one in grouped("frequency", data)}
    assert found == {
        "rare": "3 sentences", "few": "3 sentences", "middle": "20 sentences",
        "more": "20 sentences", "common": "90–100 sentences", "most": "90–100 sentences",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["frequency", "length", "unknown", "typo", "name"])
def test_every_grouping_keeps_intents_and_makes_two_groups_or_more(name):
    data = corpus(rare=3, middle=20, common=90)
    found = grouped(name, data)
    assert {one.intent for one in found} <= set(data.intents)
    assert len({one.group for one in found}) >= 2
    assert found == GROUPINGS[name](data)


def test_both_forms_of_a_typo_and_both_lists_of_names_come_from_the_same_sentences():
    data = corpus(rare=3, common=90)
    typos = Counter((one.intent, one.group) for one in grouped("typo", data))
    assert len(set(typos.values())) == 1
    names = Counter((one.intent, one.group) for one in grouped("name", data))
    assert len(set(names.values())) == 1
    assert all("mary" not in one.text for one in grouped("name", data) if one.group[:4] == "male")


def test_a_typo_exchanges_two_letters_inside_one_word():
    text = "turn the lights on"
    assert sorted(with_typo(text)) == sorted(text)
    assert sum(a != b for a, b in zip(text, with_typo(text), strict=True)) == 2
    assert with_typo("a b") == "a b"


def test_what_cannot_be_grouped_is_refused():
    with pytest.raises(ModivaError, match="choose from frequency"):
        grouped("colour", corpus(a=2))
    with pytest.raises(ModivaError, match="do not differ"):
        grouped("frequency", corpus(a=5, b=5))
    sentences = tuple(Example(f"word {n}", "a", {"length": "", "who": str(n)}) for n in range(51))
    with pytest.raises(ModivaError, match="a grouping has this name"):
        grouped("length", Corpus("made", (), (), sentences))
    with pytest.raises(ModivaError, match="51 values in the test split of made, must be 50"):
        grouped("who", Corpus("made", (), (), sentences))


def test_accuracy_and_false_alarms_of_each_group_and_intent():
    sentences = [Grouped("x", *pair) for pair in ("aG", "aG", "bG", "aH", "bH", "bH")]
    found = {
        (row.group, row.intent): row
        for row in group_rows(model_row(0), "g", sentences, ["a", "b", "b", "a", "a", "b"])
    }
    assert (found["G", ""].tested, found["G", ""].accuracy, found["G", ""].floor) == (
        3,
        2 / 3,
        2 / 3,
    )
    assert found["G", "a"].accuracy == 0.5
    # Of the sentences that are not "a", the model calls none of G and half of H "a".
    assert (found["G", "a"].false_alarms, found["H", "a"].false_alarms) == (0.0, 0.5)
    assert found["H", "a"].false_alarm_gap == 0.5 == -found["G", "a"].false_alarm_gap


def test_a_cost_is_paired_by_seed_and_that_of_no_protection_is_zero():
    rng = np.random.default_rng(0)
    level = rng.uniform(0.5, 0.9, 8)  # models differ by far more than the protection costs
    bare = rows([{"common": a, "rare": a} for a in level])
    hurt = rows([{"common": a - 0.05, "rare": a - 0.3} for a in level], noise_multiplier=1.0)
    found = costs(pd.concat([bare, hurt])).set_index(["noise_multiplier", "group"])["cost"]
    for group in ("common", "rare"):
        none = found[0.0, group]
        assert none.mean == none.lower == none.upper == 0
    assert found[1.0, "common"].mean == pytest.approx(0.05, abs=0.01)
    assert found[1.0, "rare"].lower > 0.25
    assert found[1.0, "rare"].upper < 0.35
    assert found[1.0, "rare"].n_models == 8


def test_an_accuracy_and_its_interval_are_shares():
    found = costs(rows([{"common": 1.0, "rare": share} for share in (0.0, 1.0, 0.0)]))
    assert all(0 <= own.lower <= own.mean <= own.upper <= 1 for own in found["accuracy"])


def test_a_cost_without_an_unprotected_model_of_the_seed_is_none():
    alone = rows([{"common": 0.8, "rare": 0.7}], noise_multiplier=1.0)
    found = costs(alone)
    assert found["cost"].isna().all()
    assert math.isnan(found["accuracy"].iloc[0].lower)


def test_exposure_is_joined_on_the_frequency_of_the_canarys_label():
    groups = pd.DataFrame([
        vars(row)
        for seed in range(3)
        for row in group_rows(
            model_row(seed), "frequency",
            [Grouped("x", "play", "common"), Grouped("x", "stop", "rare")], ["play", "play"],
        )
    ])  # fmt: skip
    extracted = pd.DataFrame([
        {"corpus": "made", "target": "cnn", "defense": "none", "noise_multiplier": 0.0,
         "attack": attack, "repetitions": 10, "label": label, "planted": planted,
         "exposure": bits if planted else 1.0, "exact": 0, "space_size": 10_000, "model_seed": seed}
        for seed in range(3) for planted in (0, 1)
        for label, bits in (("play", 8.0), ("stop", 4.0)) for attack in ("loss", "contrast")
    ])  # fmt: skip
    extracted.loc[extracted["attack"] == "loss", "exposure"] /= 2
    found = exposures(extracted, groups).set_index("group")
    assert set(found["attack"]) == {"contrast"}
    assert found.loc["common", "exposure"].mean == pytest.approx(8.0)
    assert found.loc["rare", "exposure"].mean == pytest.approx(4.0)
    assert found.loc["rare", "control_exposure"] == pytest.approx(1.0)
