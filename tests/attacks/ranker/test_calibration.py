"""What shadow models agree on, and how a penalty is chosen on them."""

import pytest
import torch

from attacks import AttackError
from attacks.ranker.calibration import Usual, label_name, option_effects, problem_key
from attacks.ranker.fit import PENALTIES, conditional_logit, cross_validate
from attacks.ranker.margins import margin_oracle
from attacks.tokenise import build_completion
from canaries.patterns import parse_slots


def code(tokenizer, model, prefix="my pin is", label=1, slots="digit*2"):
    return build_completion(tokenizer, model, prefix=prefix, slots=parse_slots(slots), label=label)


def effects_of(model, problem, seed=0):
    with margin_oracle(model, problem) as oracle:
        return option_effects(oracle, torch.Generator().manual_seed(seed))


def test_the_effects_are_those_of_the_margin_over_the_whole_space(tokenizer, make_bert):
    """Averages of drawn candidates come near the averages over all of them, for every label."""
    model = make_bert(tokenizer)
    for label in (0, 2):
        problem = code(tokenizer, model, label=label)
        choices = torch.cartesian_prod(torch.arange(10), torch.arange(10))
        with margin_oracle(model, problem) as oracle:
            margin = -oracle.evaluate(torch.zeros(100, dtype=torch.long), choices)
        margin = (margin - margin.mean()) / margin.std()
        whole = torch.cat(
            [torch.stack([margin[choices[:, s] == d].mean() for d in range(10)]) for s in (0, 1)]
        )
        found = effects_of(model, problem)[label_name(model, problem)]
        assert torch.allclose(found, whole, atol=0.25)
        assert torch.corrcoef(torch.stack([found, whole]))[0, 1] > 0.97


def test_a_model_is_left_out_of_what_is_usual_for_itself(tokenizer, make_bert):
    models = [make_bert(tokenizer, seed) for seed in range(3)]
    problems = [code(tokenizer, model) for model in models]
    effects = [effects_of(*pair) for pair in zip(models, problems, strict=True)]
    keyed = [(problem_key(p), its) for p, its in zip(problems, effects, strict=True)]
    choices = torch.tensor([[1, 4], [9, 9]])
    label = label_name(models[0], problems[0])
    for number in range(3):
        others = Usual.of([its for k, its in enumerate(keyed) if k != number])
        expected = others.feature(problems[0], label, choices)
        found = Usual.of(keyed).feature(problems[0], label, choices, without=effects[number])
        assert torch.allclose(found, expected, atol=1e-5)
        by_hand = sum(its[label] for k, (_, its) in enumerate(keyed) if k != number) / 2
        assert torch.allclose(expected, by_hand[choices + torch.tensor([0, 10])].sum(1))


def test_what_no_model_was_asked_is_not_usual(tokenizer, make_bert):
    model = make_bert(tokenizer)
    problem = code(tokenizer, model)
    usual = Usual.of([(problem_key(problem), effects_of(model, problem))])
    choices = torch.tensor([[1, 4], [9, 9]])
    label = label_name(model, problem)
    assert usual.feature(problem, label, choices).abs().sum() > 0
    for other, name in ((code(tokenizer, model, prefix="call"), label), (problem, "no such")):
        assert usual.feature(other, name, choices).abs().sum() == 0
    own = effects_of(model, problem)
    assert usual.feature(problem, label, choices, without=own).abs().sum() == 0


def problems_of(models: int, signal: float, features: int = 20):
    """Choices by softmax of the first feature times `signal`; the others are noise."""
    generator = torch.Generator().manual_seed(1)
    matrices, true = [], []
    for _ in range(models):
        matrix = torch.randn(200, features, generator=generator)
        share = (signal * matrix[:, 0]).softmax(0)
        true.append(int(torch.multinomial(share, 1, generator=generator)))
        matrices.append(matrix)
    return matrices, true


def test_noise_is_answered_with_the_strongest_penalty_and_signal_with_a_weaker():
    matrices, true = problems_of(30, signal=0.0)
    penalty, _ = cross_validate(matrices, true, range(30))
    assert penalty == max(PENALTIES)
    matrices, true = problems_of(30, signal=4.0)
    penalty, outside = cross_validate(matrices, true, range(30))
    assert penalty < max(PENALTIES)
    assert all(weights[0] > 5 * weights[1:].abs().mean() for weights in outside)


def test_the_weights_for_a_model_do_not_depend_on_it():
    matrices, true = problems_of(12, signal=2.0)
    models = [number // 2 for number in range(12)]  # two problems each
    penalty, outside = cross_validate(matrices, true, models)
    inside = [number for number in range(12) if models[number] % 5 != 0]
    alone = conditional_logit(
        [matrices[i] for i in inside], [true[i] for i in inside], penalty=penalty
    )
    assert torch.allclose(outside[0], alone, atol=1e-3)
    assert torch.equal(outside[0], outside[1])
    assert not torch.allclose(outside[0], outside[2])


def test_one_model_cannot_be_cross_validated():
    matrices, true = problems_of(3, signal=1.0)
    with pytest.raises(AttackError, match="two models"):
        cross_validate(matrices, true, [0, 0, 0])
