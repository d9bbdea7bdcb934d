"""A bias for names that is planted in the training sentences is found, and its size recovered."""

import numpy as np
import pytest
import torch

from modiva.classifiers import build
from modiva.condition import Condition
from modiva.corpora import Corpus
from modiva.corpora.corpus import Example
from modiva.errors import ModivaError
from modiva.fairness.groupings import grouped
from modiva.fairness.names import name_row, status_models
from modiva.handling import REVERSALS, Distilled
from modiva.measure import columns
from modiva.studies.spec import AuditSpec
from modiva.swaps import NAMES, load_swaps, reverse
from modiva.training import evaluate, resolve, train_stack
from modiva.training.config import Splits
from modiva.training.distilled import check_reversal, distil, taught_logits

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


def trained(data: Corpus):
    spec, config = resolve(CONDITION)
    made = build(spec, texts=[text for text, _ in data.train], intents=data.intents)
    train_stack([made], [(data.train, (), data.test)], config, [0], progress=False)
    return made


def effect(model, data: Corpus) -> float:
    """The probability of "call" with names of the first list less that with the second."""
    pairs = [(one.text, one.intent) for one in grouped("name", data)]
    chances = evaluate.probabilities(model, pairs).numpy()[:, model.model.config.label2id["call"]]
    first, second = chances.reshape(-1, 2, 3).mean((0, 2))
    return first - second


def measured(bias: float):
    data = corpus(bias)
    made = trained(data)
    ((status, accuracy),) = status_models(CONDITION, data, [made], "cpu")
    return data, made, name_row(model_row(), made, status, accuracy, grouped("name", data))


def test_a_planted_bias_is_found_and_its_size_recovered():
    data, made, row = measured(0.9)
    # The model says "call" with .9 for one list and .1 for the other.
    found = effect(made, data)
    assert found == pytest.approx(0.8, abs=0.12)
    assert row.gap_between > 3 * row.gap_within
    assert row.flips_between > 0.6 > row.flips_within
    assert row.sensitivity_names > 1.5 * row.sensitivity_any
    assert row.status_accuracy > 0.95
    # A model that tells the lists looks at the name, as the target does.
    assert row.sensitivity_status > 1.3 * row.sensitivity_any
    # The true intents are by chance those of either list, so that the signed effect says whose.
    calls = np.mean([one.intent == "call" for one in data.test])
    assert row.signed_effect == pytest.approx(found * (2 * calls - 1), abs=0.08)


def test_between_equals_within_in_a_model_without_a_group_effect():
    _, _, row = measured(0.5)
    assert row.gap_between == pytest.approx(row.gap_within, rel=0.35)
    assert abs(row.signed_effect) < 0.1
    assert row.name_sentences == 40


@pytest.fixture(scope="module")
def biased():
    data = corpus(0.9)
    return data, trained(data)


def student(data: Corpus, texts, logits):
    spec, config = resolve(CONDITION)
    made = build(spec, texts=texts, intents=data.intents, seed=1)
    distil(made, texts, logits, Splits(data.train, (), data.test), config, 2.0)
    return made


def test_role_reversal_removes_a_bias_and_augmentation_alone_does_not(biased):
    """The teacher is as biased on the sentences with swapped names as on the others."""
    data, teacher = biased
    texts = [text for text, _ in data.train]
    plain = student(data, *taught_logits(teacher, texts, Distilled()))
    both = [*texts, *(reverse(text, load_swaps()) for text in texts)]
    augmented = student(data, *taught_logits(teacher, both, Distilled()))
    assert effect(teacher, data) > 0.65
    assert effect(plain, data) > 0.65
    assert effect(augmented, data) > 0.65
    for kind in REVERSALS[1:]:
        fair = student(data, *taught_logits(teacher, texts, Distilled(reversal=kind)))
        assert abs(effect(fair, data)) < 0.1, kind
        # The weather has no names, and is told as well as before.
        weather = [one for one in data.train if one.intent == "weather"][:20]
        there = fair.model.config.label2id["weather"]
        assert (evaluate.probabilities(fair, weather).argmax(1) == there).all()


def test_logits_of_both_sentences_are_joined_and_both_are_taught(biased):
    _, teacher = biased
    texts = ["please reach mary now", "weather now"]
    turned = ["please reach james now"]
    _, own = taught_logits(teacher, [*texts, *turned], Distilled())
    for kind, joined in (
        ("mean", own[[0, 2]].mean(0)), ("max", own[[0, 2]].amax(0)),
        ("logmeanexp", own[[0, 2]].exp().mean(0).log()),
    ):  # fmt: skip
        found, logits = taught_logits(teacher, texts, Distilled(reversal=kind))
        assert found == [*texts, *turned]
        assert torch.allclose(logits[[0, 2]], joined.expand(2, -1), atol=1e-4)
        assert torch.allclose(logits[1], own[1], atol=1e-5)


def test_swap_lists_of_the_user_are_pairs(tmp_path):
    file = tmp_path / "swaps.yaml"
    file.write_text("- [Senor, Senora]\n- [el, ella]\n")
    assert reverse("el senor lopez", load_swaps(str(file))) == "ella senora lopez"
    assert reverse("her book is his", load_swaps()) == "his book is her"
    for number, text in enumerate(("- [he]", "she: he", "- [he, he]", "- he", "[]")):
        bad = tmp_path / f"{number}.yaml"
        bad.write_text(text)
        with pytest.raises(ModivaError, match=r"\.yaml: .*pair"):
            load_swaps(str(bad))
    with pytest.raises(ModivaError, match=r"average.*mean"):
        Distilled(reversal="average")
    with pytest.raises(ModivaError, match="no word of the swap lists stands in the 1"):
        check_reversal(Distilled(reversal="mean"), ["weather now"])
    with pytest.raises(ModivaError, match="only students of a teacher"):
        AuditSpec(reversal=("mean",))
    spec = AuditSpec(training=("distil:same",), reversal=("none", "mean"), noise=(0,))
    methods = {cell.condition.method for cell in spec.cells()}
    assert methods == {"distil:same", "distil:same+mean"}
    assert spec.combinations == len(spec.cells())
