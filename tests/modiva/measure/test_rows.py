"""Rows say what came out of a model against what went in, and controls say what is luck."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from modiva.measure import (
    SampleScores,
    SpaceScores,
    exact_match,
    hamming,
    multiset_match,
    position_hits,
    score_rows,
    summarise,
    top_k,
)


@dataclass(frozen=True)
class Result:
    candidates: tuple[tuple[str, ...], ...]
    attack: str = "exhaustive"
    evaluations: int = 10_000
    seconds: float = 0.5


def code(text: str) -> tuple[str, ...]:
    return tuple(text)


def place(secret) -> int:
    return int("".join(secret))


def test_matches_of_a_code():
    assert exact_match(code("1234"), code("1234"))
    assert hamming(code("1243"), code("1234")) == 2
    assert position_hits(code("1243"), code("1234")) == (True, True, False, False)
    assert multiset_match(code("1243"), code("1234"))
    assert not multiset_match(code("1123"), code("1223"))
    assert top_k([code("1111"), code("1234")], code("1234"), 2)
    assert not top_k([code("1111"), code("1234")], code("1234"), 1)


def test_secrets_of_another_length_are_refused():
    with pytest.raises(ValueError, match="longer"):
        hamming(code("123"), code("1234"))


BASE = {
    "corpus": "snips",
    "target": "cnn",
    "defense": "none",
    "noise_multiplier": 0.0,
    "pattern": "call",
    "length": 4,
    "model_seed": 0,
    "canary": "call-0",
    "test_accuracy": 0.9,
    "majority_accuracy": 0.2,
}


def test_one_row_for_the_secret_and_one_for_every_control():
    scores = np.linspace(1, 2, 10_000)
    scores[1234] = 0.0
    rows = score_rows(
        Result((code("1234"), code("1235"))),
        code("1234"),
        [code("1235"), code("9999")],
        {**BASE, "repetitions": 10},
        slot_sizes=[10] * 4,
        scores=SpaceScores(scores, place),
    )
    assert [row["planted"] for row in rows] == [1, 0, 0]
    assert [row["exact"] for row in rows] == [1, 0, 0]
    assert [row["hamming"] for row in rows] == [0, 1, 4]
    assert [row["top10"] for row in rows] == [1, 1, 0]
    assert [row["rank"] for row in rows] == [1, 1236, 10_000]
    assert rows[0]["exposure"] == pytest.approx(math.log2(10_000))
    assert rows[1]["position_hits"] == "1110"
    assert rows[0]["space_size"] == 10_000


def test_nothing_is_planted_at_no_repetitions():
    rows = score_rows(
        Result((code("1234"),)), code("0000"), [], {**BASE, "repetitions": 0}, slot_sizes=[10] * 4
    )
    assert rows[0]["planted"] == 0
    assert rows[0]["control"] == 0
    assert rows[0]["rank"] is None


def test_a_space_too_large_to_list_is_scored_from_a_sample():
    secret, control = code("1234567890"), code("0987654321")
    scores = SampleScores(np.arange(1.0, 1025.0), {secret: 0.0, control: 512.5})
    rows = score_rows(
        Result((secret,)),
        secret,
        [control],
        {**BASE, "length": 10, "repetitions": 1},
        slot_sizes=[10] * 10,
        scores=scores,
    )
    # 512 of the 1,024 references score below the control's 512.5.
    assert [(row["rank"], row["ranked"]) for row in rows] == [(1, 1025), (513, 1025)]
    assert rows[0]["exposure"] == 10
    assert rows[1]["exposure"] == pytest.approx(1, abs=0.01)


def simulate(models: int, controls: int, success: float, patterns=("call",), seed: int = 0):
    """Rows of an attack that finds a secret with the given rate, among uniform scores."""
    rng = np.random.default_rng(seed)
    rows = []
    for model in range(models):
        for pattern in patterns:
            numbers = rng.choice(10_000, 1 + controls, replace=False)
            secret, *others = [code(f"{number:04d}") for number in numbers]
            scores = rng.random(10_000)
            if rng.random() < success:
                scores[place(secret)] = -1.0
            best = code(f"{int(scores.argmin()):04d}")
            rows += score_rows(
                Result((best,)),
                secret,
                others,
                {**BASE, "pattern": pattern, "repetitions": 10, "model_seed": model},
                slot_sizes=[10] * 4,
                scores=SpaceScores(scores, place),
            )
    return rows


def test_controls_sit_at_chance_while_the_planted_come_out():
    control, planted = summarise(simulate(models=60, controls=5, success=0.7))
    assert (control["planted"], control["n"], control["n_models"]) == (0, 300, 60)
    assert (planted["planted"], planted["n"], planted["n_models"]) == (1, 60, 60)
    assert control["exact"]["mean"] <= 1 / 300
    assert control["exact"]["lower"] == 0
    assert control["exact"]["upper"] > control["chance"] == pytest.approx(1e-4)
    low, high = control["position_accuracy"]["lower"], control["position_accuracy"]["upper"]
    assert low <= 0.1 <= high
    assert control["exposure"]["lower"] <= math.log2(math.e) <= control["exposure"]["upper"]
    assert planted["exact"]["lower"] <= 0.7 <= planted["exact"]["upper"]
    assert planted["exposure"]["mean"] > 8


def test_patterns_of_different_length_are_not_pooled():
    rows = simulate(4, 1, 0.5, patterns=("call", "zip"))
    rows = [{**row, "length": 5} if row["pattern"] == "zip" else row for row in rows]
    assert {group["pattern"] for group in summarise(rows)} == {"call", "zip"}


def test_patterns_are_pooled_beside_themselves():
    groups = summarise(simulate(8, 1, 0.5, patterns=("call", "pin")))
    assert [group["pattern"] for group in groups] == ["call"] * 2 + ["pin"] * 2 + ["all"] * 2
    pooled = groups[-1]
    assert (pooled["n"], pooled["n_models"]) == (16, 8)


def test_the_same_seed_in_two_cells_is_two_models():
    rows = [
        {**row, "cell": cell} for cell in ("a", "b") for row in simulate(4, 0, 0.5, seed=len(cell))
    ]
    assert summarise(rows)[0]["n_models"] == 8


def test_a_claim_of_epsilon_is_the_largest_and_absent_without_privacy():
    rows = simulate(3, 0, 0.0)
    for row, epsilon in zip(rows, (3.0, 3.5, 3.2), strict=True):
        row["epsilon"] = epsilon
    assert summarise(rows)[0]["epsilon"] == 3.5
    rows[0]["epsilon"] = math.inf
    assert summarise(rows)[0]["epsilon"] is None


def test_rows_read_back_from_text_give_the_same_groups(tmp_path):
    rows = simulate(6, 2, 0.5, patterns=("call", "pin"))
    path = tmp_path / "rows.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    assert summarise(pd.read_csv(path)) == summarise(rows)


def test_no_rows_no_groups():
    assert summarise([]) == []
