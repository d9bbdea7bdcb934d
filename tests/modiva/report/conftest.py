"""Rows as a real audit makes them, from secrets and attacks that are simulated."""

import itertools
import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from modiva.measure.columns import ModelRow
from modiva.privacy import PrivacyPlan

ACCURACY = {0.0: 0.93, 0.5: 0.86, 1.0: 0.74}
EPSILON = {0.1: 3120.0, 0.3: 61.2, 0.32: 55.0, 0.5: 20.06, 1.0: 3.42}
SKILL = {"exhaustive": 1.0, "coordinate": 0.97, "relaxed": 0.55, "random": 0.05}
EVALUATIONS = {"exhaustive": 10_000, "coordinate": 480, "relaxed": 28_800, "random": 2_000}
SLOTS = {"call": [10] * 4, "pin": [10] * 4, "color": [12] * 4, "zip": [10] * 5}


@cache
def bounds_of(noise: float, size: int, times: int) -> dict[str, float | None]:
    """The bounds of a training of 9,000 sentences whose epsilon at noise 1 is 3.42."""
    names = ("exact_bound", "top10_bound", "exposure_bound")
    if not noise:
        return dict.fromkeys(names)
    found = PrivacyPlan(9000, 256 / 9000, 350, 1.0, noise, 1e-5).bounds(size, times)
    return {name: getattr(found, name) for name in names}


def simulate(
    *,
    corpora=("home-assistant",),
    targets=("cnn", "lstm"),
    patterns=("call", "pin"),
    repetitions=(1, 10, 100),
    noises=(0.0, 0.5, 1.0),
    defenses=("none",),
    attacks=("exhaustive",),
    models=12,
    controls=3,
    seed=0,
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    grid = itertools.product(corpora, targets, defenses, noises, repetitions, range(models))
    for corpus, target, defense, noise, times, model in grid:
        strength = {"cnn": 0.9, "lstm": 0.45}.get(target, 0.15) * math.tanh(times / 8)
        strength *= {0.0: 1.0, 0.5: 0.5, 1.0: 0.12}.get(noise, 0.3)
        strength *= 0.6 if "dropout" in defense else 1.0
        accuracy = ACCURACY.get(noise, 0.8) + 0.012 * rng.standard_normal()
        for pattern in patterns:
            slots = SLOTS[pattern]
            size = math.prod(slots)
            secrets = [[int(rng.integers(slot)) for slot in slots] for _ in range(1 + controls)]
            fate = min(0.98, strength * rng.uniform(0.7, 1.2))
            out = rng.random() < fate
            for attack in attacks:
                found = list(secrets[0])
                if not (out and rng.random() < SKILL[attack]):
                    for place, slot in enumerate(slots):
                        if rng.random() > fate * SKILL[attack]:
                            found[place] = int(rng.integers(slot))
                for number, secret in enumerate(secrets):
                    planted = int(number == 0 and times > 0)
                    hits = [ours == theirs for ours, theirs in zip(found, secret, strict=True)]
                    top = size ** (1 - fate) if planted else size
                    rank = 1 if all(hits) else int(max(1, rng.uniform() * top))
                    defended = "+".join(
                        [part for part in (defense, "dp" if noise else "") if part]
                    ).removeprefix("none+")
                    rows.append(
                        {
                            "corpus": corpus,
                            "target": target,
                            "defense": defended,
                            "noise_multiplier": noise,
                            "epsilon": EPSILON.get(noise),
                            "delta": 1e-5 if noise else None,
                            "group_epsilon": EPSILON[noise] * max(times, 1) if noise else None,
                            **bounds_of(noise, size, times),
                            "pattern": pattern,
                            "length": len(slots),
                            "repetitions": times,
                            "model_seed": model,
                            "canary": f"{pattern}-0",
                            "planted": planted,
                            "control": number,
                            "attack": attack,
                            "objective": "loss",
                            "exact": int(all(hits)),
                            "hamming": hits.count(False),
                            "rank": rank,
                            "exposure": math.log2(size) - math.log2(rank),
                            "evaluations": EVALUATIONS[attack],
                            "seconds": 0.4,
                            "test_accuracy": float(accuracy),
                            "majority_accuracy": 0.69,
                            "position_accuracy": sum(hits) / len(hits),
                            "position_hits": "".join("01"[hit] for hit in hits),
                            "multiset": int(sorted(found) == sorted(secret)),
                            "top10": int(rank <= 10),
                            "reconstruction": " ".join(map(str, found)),
                            "secret": " ".join(map(str, secret)),
                            "space_size": size,
                            "slot_sizes": " ".join(map(str, slots)),
                            "cell": f"{corpus}-{target}-{defended}-{noise}-{times}-{model}",
                        }
                    )
    return rows


def simulate_models(noises=(0.0, 0.5, 1.0), models=4) -> list[dict[str, Any]]:
    """Rows of trained models that nobody attacked."""
    rng = np.random.default_rng(0)
    rows = []
    for target, noise, seed in itertools.product(("cnn", "lstm"), noises, range(models)):
        accuracy = ACCURACY[noise] + 0.012 * rng.standard_normal()
        row = ModelRow(
            corpus="home-assistant",
            target=target,
            size="small",
            defense="dp" if noise else "none",
            training="central",
            partition=None,
            selection=None,
            per_round=None,
            periods=None,
            clients=None,
            rounds=None,
            noise_multiplier=noise,
            target_epsilon=None,
            epsilon=EPSILON.get(noise),
            delta=1e-5 if noise else None,
            model_seed=seed,
            sentences=900,
            epochs=10,
            test_accuracy=accuracy,
            majority_accuracy=0.69,
            planting="call × 10",
            valid_accuracy=accuracy - 0.01,
            train_accuracy=accuracy + 0.02,
            steps=300,
            accuracy_by_round=None,
            clipped=0.8 if noise else None,
            seconds=3.0,
            seconds_per_step=0.01,
        )
        rows.append({**vars(row), "cell": f"{target}-{noise}"})
    return rows


@pytest.fixture(scope="session")
def model_rows() -> list[dict[str, Any]]:
    return simulate_models()


@pytest.fixture(scope="session")
def asked_by_epsilon() -> list[dict[str, Any]]:
    """Rows of an audit without privacy and at epsilon 8 and 3."""
    asked = {0.5: 8.0, 1.0: 3.0}
    rows = simulate(targets=("cnn",), repetitions=(1, 10), models=4)
    return [row | {"target_epsilon": asked.get(row["noise_multiplier"])} for row in rows]


@pytest.fixture(scope="session")
def simulated():
    return simulate


@pytest.fixture(scope="session")
def audit_rows() -> list[dict[str, Any]]:
    """Rows of an audit with the default settings."""
    return simulate()
