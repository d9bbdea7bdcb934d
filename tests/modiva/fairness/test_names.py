"""A bias for names that is planted in the training sentences is found, and its size recovered."""

import numpy as np
import pytest

from modiva.classifiers import build
from modiva.condition import Condition
from modiva.corpora import Corpus
from modiva.corpora.corpus import Example
from modiva.fairness.groupings import NAMES, grouped
from modiva.fairness.names import name_row, status_models
from modiva.measure import columns
from modiva.training import evaluate, resolve, train_stack

PLACES = ("at home", "at work", "in town", "tonight", "now", "on monday", "again", "for lunch")
CONDITION = Condition(corpus="made", target="cnn", size="small")


def corpus(bias: float, seed: int = 0) -> Corpus:
    """Sentences that a name alone can tell apart: of the first list `bias` are "call"."""
    rng = np.random.default_rng(seed)
    lists = list(NAMES.values())
    rows = []
    for number in range(640):
        group = number % 2
        name = lists[group][rng.integers(12)]
        first = rng.random() < (bias if group == 0 else 1 - bias)
        place = PLACES[rng.integers(len(PLACES))]
        rows.append(Example(f"please reach {name} {place}", "call" if first else "text"))
    rows += [Example(f"weather {place}", "weather") for place in PLACES for _ in range(20)]
    return Corpus("made", tuple(rows[:600] + rows[640:]), (), tuple(rows[600:640]))


def model_row(seed: int = 0) -> columns.ModelRow:
    shared = dict.fromkeys(columns.ModelRow.__dataclass_fields__)
    return columns.ModelRow(**shared | {"corpus": "made", "target": "cnn", "model_seed": seed})


def measured(bias: float):
    data = corpus(bias)
    spec, config = resolve(CONDITION)
    made = build(spec, texts=[text for text, _ in data.train], intents=data.intents)
    train_stack([made], [(data.train, (), data.test)], config, [0], progress=False)
    ((status, accuracy),) = status_models(CONDITION, data, [made], "cpu")
    return data, made, name_row(model_row(), made, status, accuracy, grouped("name", data))


def test_a_planted_bias_is_found_and_its_size_recovered():
    data, made, row = measured(0.9)
    # The model says "call" with .9 for one list and .1 for the other.
    pairs = [(one.text, one.intent) for one in grouped("name", data)]
    chances = evaluate.probabilities(made, pairs).numpy()[:, made.model.config.label2id["call"]]
    call = chances.reshape(-1, 2, 3).mean((0, 2))
    assert call[0] - call[1] == pytest.approx(0.8, abs=0.12)
    assert row.gap_between > 3 * row.gap_within
    assert row.flips_between > 0.6 > row.flips_within
    assert row.sensitivity_names > 1.5 * row.sensitivity_any
    assert row.status_accuracy > 0.95
    # A model that tells the lists looks at the name, as the target does.
    assert row.sensitivity_status > 1.3 * row.sensitivity_any
    # The true intents are by chance those of either list, so that the signed effect says whose.
    calls = np.mean([one.intent == "call" for one in data.test])
    assert row.signed_effect == pytest.approx((call[0] - call[1]) * (2 * calls - 1), abs=0.08)


def test_between_equals_within_in_a_model_without_a_group_effect():
    _, _, row = measured(0.5)
    assert row.gap_between == pytest.approx(row.gap_within, rel=0.35)
    assert abs(row.signed_effect) < 0.1
    assert row.name_sentences == 40
