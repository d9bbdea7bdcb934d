"""Rows say what came out of a model against what went in, and controls say what is luck."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from canaries import Canary, SecretSpace
from canaries.patterns import compile_pattern
from modiva.measure import score_rows, summarise
from modiva.measure.column import columns_of
from modiva.measure.columns import COLUMNS, ModelColumns, ModelRow, Row
from modiva.measure.matches import exact_match, hamming, multiset_match, position_hits, top_k

SPACES = {"digit": SecretSpace("digit", tuple("0123456789"))}


@dataclass(frozen=True)
class Scored:
    numbers: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Result:
    candidates: tuple[tuple[str, ...], ...]
    scored: Scored | None = None
    attack: str = "exhaustive"
    objective: str = "loss"
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


MODEL = ModelColumns(
    corpus="snips",
    target="cnn",
    size="small",
    defense="none",
    training="central",
    partition=None,
    selection=None,
    per_round=None,
    periods=None,
    clients=None,
    rounds=None,
    noise_multiplier=0.0,
    target_epsilon=None,
    epsilon=None,
    delta=None,
    model_seed=0,
    sentences=1_000,
    epochs=10,
    test_accuracy=0.9,
    majority_accuracy=0.2,
)


def planted(secret, controls=(), repetitions=10, name="call"):
    pattern = compile_pattern(name, f"say {{digit*{len(secret)}}}", spaces=SPACES)
    return Canary(
        id=f"{name}-0",
        pattern=name,
        template=pattern.template,
        spaces=(SPACES["digit"],),
        secret=secret,
        label="music",
        repetitions=repetitions,
        valid_repetitions=0,
        controls=tuple(controls),
    )


def test_one_row_for_the_secret_and_one_for_every_control():
    scores = np.linspace(1, 2, 10_000)
    scores[1234] = 0.0
    rows = score_rows(
        Result((code("1234"), code("1235")), Scored(np.arange(10_000), scores)),
        planted(code("1234"), [code("1235"), code("9999")]),
        MODEL,
    )
    assert [row.planted for row in rows] == [1, 0, 0]
    assert [row.exact for row in rows] == [1, 0, 0]
    assert [row.hamming for row in rows] == [0, 1, 4]
    assert [row.top10 for row in rows] == [1, 1, 0]
    assert [row.rank for row in rows] == [1, 1236, 10_000]
    assert rows[0].exposure == pytest.approx(math.log2(10_000))
    assert rows[1].position_hits == "1110"
    assert rows[0].space_size == 10_000
    assert rows[0].slot_sizes == "10 10 10 10"


def test_nothing_is_planted_at_no_repetitions():
    row, *_ = score_rows(Result((code("1234"),)), planted(code("0000"), repetitions=0), MODEL)
    assert row.planted == 0
    assert row.control == 0
    assert row.rank is None


def test_candidates_that_an_attack_did_not_compare_share_the_last_place():
    scored = Scored(np.array([7, 1234]), np.array([0.5, 0.1]))
    canary = planted(code("1234"), [code("0007"), code("9999")])
    rows = score_rows(Result((code("1234"),), scored), canary, MODEL)
    assert [row.rank for row in rows] == [1, 2, 10_000]
    assert [row.exposure for row in rows[:2]] == [math.log2(10_000), math.log2(10_000) - 1]
    assert rows[2].exposure < math.log2(math.e)


def test_a_part_of_a_space_that_is_too_large_to_list_gives_no_rank():
    scored = Scored(np.array([7]), np.array([0.5]))
    row, *_ = score_rows(Result((code("000007"),), scored), planted(code("000007")), MODEL)
    assert (row.rank, row.ranked, row.exposure) == (None, None, None)


def test_every_column_of_a_row_is_listed_with_type_title_and_meaning():
    for kind in (Row, ModelRow):
        for column in columns_of(kind):
            assert COLUMNS[column.name].meaning.endswith(".")
            assert column.title
            assert column.type in (str, int, float)
    assert COLUMNS["exposure"].type is float
    assert COLUMNS["rank"].type is int
    (row, *_) = score_rows(Result((code("1234"),)), planted(code("1234")), MODEL)
    for name, value in vars(row).items():
        assert value is None or isinstance(value, COLUMNS[name].type), name


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
                Result((best,), Scored(np.arange(10_000), scores)),
                planted(secret, others, name=pattern),
                replace(MODEL, model_seed=model),
            )
    return [dict(vars(row)) for row in rows]


def test_controls_sit_at_chance_while_the_planted_come_out():
    control, found = summarise(simulate(models=60, controls=5, success=0.7))
    assert (control["planted"], control.n, control.n_models) == (0, 300, 60)
    assert (found["planted"], found.n, found.n_models) == (1, 60, 60)
    assert control.exact.mean <= 1 / 300
    assert control.exact.lower == 0
    assert control.exact.upper > control.chance == pytest.approx(1e-4)
    low, high = control.position_accuracy.lower, control.position_accuracy.upper
    assert low <= 0.1 <= high
    assert control.exposure.lower <= math.log2(math.e) <= control.exposure.upper
    assert found.exact.lower <= 0.7 <= found.exact.upper
    assert found.exposure.mean > 8


def test_patterns_of_different_length_are_not_pooled():
    rows = simulate(4, 1, 0.5, patterns=("call", "zip"))
    rows = [{**row, "length": 5} if row["pattern"] == "zip" else row for row in rows]
    assert {group["pattern"] for group in summarise(rows)} == {"call", "zip"}


def test_patterns_are_pooled_beside_themselves():
    groups = summarise(simulate(8, 1, 0.5, patterns=("call", "pin")))
    assert [group["pattern"] for group in groups] == ["call"] * 2 + ["pin"] * 2 + ["all"] * 2
    pooled = groups[-1]
    assert (pooled.n, pooled.n_models) == (16, 8)


def test_the_same_seed_in_two_cells_is_two_models():
    rows = [
        {**row, "cell": cell} for cell in ("a", "b") for row in simulate(4, 0, 0.5, seed=len(cell))
    ]
    assert summarise(rows)[0].n_models == 8


def test_a_claim_of_epsilon_is_the_largest_and_absent_without_privacy():
    rows = simulate(3, 0, 0.0)
    for row, epsilon in zip(rows, (3.0, 3.5, 3.2), strict=True):
        row["epsilon"] = epsilon
    assert summarise(rows)[0].epsilon == 3.5
    rows[0]["epsilon"] = math.inf
    assert summarise(rows)[0].epsilon is None


def test_rows_read_back_from_text_give_the_same_groups(tmp_path):
    rows = simulate(6, 2, 0.5, patterns=("call", "pin"))
    path = tmp_path / "rows.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    read = summarise(pd.read_csv(path))
    assert [group.as_dict() for group in read] == [group.as_dict() for group in summarise(rows)]


def test_no_rows_no_groups():
    assert summarise([]) == []


@pytest.mark.parametrize("found", [0, 3, 8])
def test_a_rate_carries_its_successes(found):
    rows = simulate(8, 0, 0.0)
    for number, row in enumerate(rows):
        row["exact"] = int(number < found)
    (group,) = summarise(rows)
    assert (group.exact.successes, group.exact.n, group.exact.n_models) == (found, 8, 8)
    assert group.test_accuracy.successes is None


def test_one_model_says_nothing_of_others():
    (group,) = summarise(simulate(1, 0, 1.0))
    assert group.test_accuracy.mean == 0.9
    assert not group.test_accuracy.known
    assert group.as_dict()["test_accuracy"]["lower"] is None


def test_cells_asked_for_by_epsilon_are_groups_of_their_own():
    rows = [
        row | {"target_epsilon": epsilon, "noise_multiplier": 1.0, "cell": f"{epsilon}"}
        for epsilon in (1.0, 3.0, None)
        for row in simulate(3, 0, 0.5)
    ]
    groups = summarise(rows)
    assert [group["target_epsilon"] for group in groups] == [1.0, 3.0, None]
    assert [group.n_models for group in groups] == [3, 3, 3]
    del rows[0]["target_epsilon"]
    older = [{key: row[key] for key in row if key != "target_epsilon"} for row in rows]
    assert [group["target_epsilon"] for group in summarise(older)] == [None]


def test_trained_models_are_grouped_by_condition_with_intervals_over_models():
    rows = [
        vars(
            ModelRow(
                **vars(replace(MODEL, model_seed=seed, noise_multiplier=noise, test_accuracy=own)),
                planting="call × 10",
                valid_accuracy=None,
                train_accuracy=own + 0.05,
                steps=100,
                accuracy_by_round=None,
                clipped=None,
                seconds=2.0,
                seconds_per_step=0.02,
            )
        )
        for noise, mean in ((0.0, 0.9), (1.0, 0.6))
        for seed, own in enumerate((mean - 0.02, mean, mean + 0.02))
    ]
    bare, noisy = summarise(rows)
    assert (bare["noise_multiplier"], noisy["noise_multiplier"]) == (0.0, 1.0)
    assert (bare.n_models, bare["planting"]) == (3, "call × 10")
    assert bare.test_accuracy.mean == pytest.approx(0.9)
    # Student's t with 2 degrees of freedom: 4.303 * 0.02 / sqrt(3).
    assert bare.test_accuracy.upper - 0.9 == pytest.approx(0.0497, abs=1e-4)
    assert noisy.train_accuracy.mean == pytest.approx(0.65)
    assert bare.valid_accuracy is None
    assert "exact" not in bare.as_dict()
