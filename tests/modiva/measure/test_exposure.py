"""Exposure is what a rank is worth in bits, and nothing for a secret nobody saw."""

import math

import numpy as np
import pytest

from modiva.measure.exposure import exposure, exposure_in_space, rank_in_space


def test_lower_is_better_and_a_rank_is_the_last_place_of_its_tie():
    scores = np.array([0.5, 0.1, 0.5, 0.9], dtype=np.float32)
    assert [rank_in_space(scores, index) for index in range(4)] == [3, 1, 3, 4]


def test_exposure_is_the_mean_over_a_tie():
    scores = np.array([0.5, 0.1, 0.5, 0.9], dtype=np.float32)
    assert exposure_in_space(scores, 1) == 2
    assert exposure_in_space(scores, 3) == 0
    assert exposure_in_space(scores, 0) == pytest.approx(2 - math.log2(2 * 3) / 2)


@pytest.mark.parametrize("distinct", [1, 2, 30, 5_000])
def test_however_many_scores_tie_the_null_mean_is_that_of_all_ranks(distinct):
    scores = np.random.default_rng(3).integers(distinct, size=5_000)
    every_rank = np.mean([exposure(rank, 5_000) for rank in range(1, 5_001)])
    ours = np.mean([exposure_in_space(scores, index) for index in range(5_000)])
    assert ours == pytest.approx(every_rank, abs=1e-9)
    assert every_rank == pytest.approx(math.log2(math.e), abs=0.01)


def test_controls_of_a_ranker_that_looked_at_few_candidates_are_at_log2_e_bits():
    rng = np.random.default_rng(4)
    drawn = []
    for _ in range(2_000):
        scores = np.full(50_000, np.inf)
        scores[rng.choice(50_000, 1_000, replace=False)] = rng.normal(size=1_000)
        drawn.append(exposure_in_space(scores, int(rng.integers(50_000))))
    error = np.std(drawn) / math.sqrt(len(drawn))
    assert abs(np.mean(drawn) - math.log2(math.e)) < 4 * error < 0.1


def test_a_diverged_model_exposes_nothing():
    assert rank_in_space(np.full(10, np.nan), 3) == 10
    assert rank_in_space(np.array([np.nan, 0.2, np.nan]), 1) == 1


def test_exposure_runs_from_zero_to_the_bits_of_the_space():
    assert exposure(1, 10_000) == pytest.approx(13.2877, abs=1e-4)
    assert exposure(10_000, 10_000) == 0
    assert exposure(1, 2**4000) == 4000
    with pytest.raises(ValueError, match="rank 11 is outside"):
        exposure(11, 10)


def test_a_secret_never_seen_has_log2_e_bits_on_average():
    size = 10_000
    every_rank = np.mean([exposure(rank, size) for rank in range(1, size + 1)])
    assert every_rank == pytest.approx(math.log2(math.e), abs=0.01)
    rng = np.random.default_rng(0)
    drawn = [exposure_in_space(rng.random(500), 0) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(math.log2(math.e), abs=0.08)
