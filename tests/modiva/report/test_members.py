"""Membership on the page: a sentence, a table, warnings and a figure, from rows of pools."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from modiva.measure.inference import Signals
from modiva.measure.membership import Claim, PoolColumns, score_pool
from modiva.privacy import PrivacyPlan
from modiva.report import members
from modiva.report.page import write_report
from modiva.report.plots import figures
from modiva.report.plots.membership import by_membership
from modiva.report.plots.style import STYLE
from modiva.report.words import prepare

CENTRAL = {"training": "central"} | dict.fromkeys(
    ("partition", "selection", "per_round", "periods", "clients", "rounds")
)


def pool(noise: float, effect: float, target: str = "cnn") -> list[dict]:
    """Rows of a pool whose sentences and canaries, but not controls, stand out by `effect`."""
    plan = PrivacyPlan(500, 0.3, 40, 1.0, noise, 1e-5) if noise else None
    rng = np.random.default_rng(0)
    held = rng.random((20, 160)) < 0.5
    told = effect * held * (np.arange(160) < 140)
    signals = Signals(told + rng.standard_normal(held.shape), held, rng.standard_normal((20, 50)))
    about = PoolColumns(
        corpus="snips", target=target, size="small", defense="dp" if noise else "none",
        noise_multiplier=noise, target_epsilon=None, **CENTRAL,
        epsilon=plan.epsilon() if plan else None,
        delta=1e-5 if noise else None, planting="pin × 10", pool=20, pool_seed=0,
        pool_sentences=120, pool_accuracy=0.9,
    )  # fmt: skip

    def claim(copies: int) -> Claim:
        if plan is None:
            return Claim()
        return Claim(plan.trade_off(copies), plan.group_epsilon(copies), 1e-5)

    parts = {
        ("sentences", 1): (np.arange(120), claim(1)),
        ("canaries", 10): (np.arange(120, 140), claim(10)),
        ("controls", 0): (np.arange(140, 160), dataclasses.replace(claim(0), epsilon=None)),
    }
    return [vars(row) for row in score_pool(signals, about, parts, resamples=40)]


@pytest.fixture(scope="module")
def pools() -> pd.DataFrame:
    rows = pool(0.0, 2.0) + pool(2.0, 0.5) + pool(4.0, 0.2)
    return prepare(rows + [row | {"target": "lstm"} for row in rows])


def test_the_sentence_says_what_is_told_and_what_could_be(pools):
    said = members.sentence(pools)
    assert "compares a model with 19 others" in said
    assert "the CNN on snips without a defense" in said or "the LSTM on snips" in said
    bound = PrivacyPlan(500, 0.3, 40, 1.0, 4.0, 1e-5).trade_off(1).area()
    assert "with DP σ = 4 0.5" in said
    assert f"where {bound:.2f} is the most that any attack can reach" in said
    assert members.sentence(pools[pools["records"] == "controls"]) == ""


def test_the_table_has_every_kind_of_records_beside_its_bound(pools):
    lines = members.table(pools)
    assert len(lines) == 2 * 3 * 3
    assert {len(line) for line in lines} == {len(members.HEADINGS)}
    assert {line[2] for line in lines} == {"120 sentences", "20 canaries, R = 10", "20 controls"}
    bare = [line for line in lines if line[1] == "no defense"]
    assert all(line[5] == "–" for line in bare)
    assert not any("VIOLATED" in cell for line in lines for cell in line)
    assert not members.refuted(pools)


def test_a_lower_bound_above_the_claim_is_shouted():
    broken = prepare(pool(4.0, 30.0))  # noise was claimed, and everything is told
    warnings = members.refuted(broken)
    assert any("sentences" in text and "VIOLATED" in text for text in warnings)
    assert any("VIOLATED" in line[8] for line in members.table(broken))


def test_the_figure_has_bounds_and_needs_two_levels_of_noise(pools):
    with mpl.rc_context(STYLE):
        drawing = by_membership(pools)
        assert by_membership(pools[pools["noise_multiplier"] == 0]) is None
    assert "CNN, canaries, R = 10, by LiRA: " in drawing.alt
    labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert "the most that any attack can reach" in labels
    assert {"sentences by the loss", "sentences by LiRA", "guessing"} < {*labels}


def test_the_page_shows_membership_where_there_was_a_pool(pools, model_rows, tmp_path):
    drawn = figures(model_rows, tmp_path / "figures", {"membership": pools})
    assert [path.stem for path in drawn] == ["membership_by_noise"] * 2
    with_pool = write_report(tmp_path, model_rows, [], {}, drawn, {"membership": pools}).read_text()
    assert 'id="membership"' in with_pool
    assert "20 canaries, R = 10" in with_pool
    assert members.sentence(pools).partition("(")[0] in with_pool.replace("\u00a0", " ")
    assert 'id="membership"' not in write_report(tmp_path, model_rows, [], {}, []).read_text()
