"""Scores are the model's own, whatever stands beside them in a batch, and all are counted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks import AttackError, build_completion
from attacks.objectives import get_objective
from attacks.oracle import Oracle
from attacks.vectors import input_vectors
from canaries.spaces import SecretSpace, get_space

LOSS = get_objective("loss")
DIGIT = get_space("digit")
COLOR = SecretSpace("color", ("red", "blue", "green"))


def several(tokenizer, model):
    """Problems of different length, slots and options."""
    asked = [
        {"prefix": "call", "slots": (DIGIT,) * 2, "label": 0},
        {"prefix": "my pin code is", "slots": (DIGIT, COLOR, DIGIT), "label": 1},
        {"prefix": "", "slots": (COLOR,), "suffix": "please now", "label": 2},
    ]
    return [build_completion(tokenizer, model, **one) for one in asked]


def rows_of(problems, generator, count):
    problem = torch.randint(len(problems), (count,), generator=generator)
    choices = torch.zeros(count, max(len(p.sizes) for p in problems), dtype=torch.long)
    for row, p in enumerate(problem.tolist()):
        for slot, size in enumerate(problems[p].sizes):
            choices[row, slot] = torch.randint(size, (1,), generator=generator)
    return problem, choices


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), memory=st.sampled_from([1, 50_000, None]))
def test_scores_in_a_mixed_batch_are_the_models_own_losses(
    seed, memory, tokenizer, make_bert, own_loss
):
    model = make_bert(tokenizer)
    problems = several(tokenizer, model)
    problem, choices = rows_of(problems, torch.Generator().manual_seed(seed), 12)
    with Oracle(model, problems, LOSS, memory=memory) as oracle:
        scores = oracle.evaluate(problem, choices)
    for score, p, chosen in zip(scores, problem.tolist(), choices.tolist(), strict=True):
        its = problems[p]
        text = its.text(its.secret(chosen[: len(its.sizes)]))
        assert score.item() == pytest.approx(own_loss(model, tokenizer, text, its.label), abs=1e-5)
    assert oracle.evaluations == tuple(torch.bincount(problem, minlength=3).tolist())


def test_options_of_several_tokens_are_scored_exactly(pieces, make_bert, own_loss):
    model = make_bert(pieces)
    space = SecretSpace("codes", ("x1", "x2", "y3"))
    problem = build_completion(pieces, model, prefix="call", slots=(space, DIGIT), label=0)
    with Oracle(model, [problem], LOSS) as oracle:
        (score,) = oracle.evaluate(torch.zeros(1, dtype=torch.long), torch.tensor([[2, 7]]))
    assert score.item() == pytest.approx(own_loss(model, pieces, "call y3 7", 0), abs=1e-5)


def test_one_hot_mixtures_score_as_the_candidates_they_are(tokenizer, bert):
    problems = several(tokenizer, bert)
    problem, choices = rows_of(problems, torch.Generator().manual_seed(1), 9)
    with Oracle(bert, problems, LOSS) as oracle:
        exact = oracle.evaluate(problem, choices)
        weights = torch.nn.functional.one_hot(choices, 10).float()
        scores, gradient = oracle.relaxed(problem, weights)
    torch.testing.assert_close(scores, exact, rtol=1e-5, atol=1e-6)
    sizes = oracle.layout.sizes[problem]
    absent = torch.arange(10) >= sizes.unsqueeze(2)
    assert not gradient[absent].any()
    # One evaluation each, then a gradient step, which counts three.
    assert sum(oracle.evaluations) == 9 + 27


def test_the_gradient_is_the_slope_of_the_score(tokenizer, make_bert):
    model = make_bert(tokenizer).double()
    problems = several(tokenizer, model)
    generator = torch.Generator().manual_seed(2)
    problem = torch.tensor([0, 1, 2])
    weights = torch.rand(3, 3, 10, generator=generator, dtype=torch.float64)
    direction = torch.randn(weights.shape, generator=generator, dtype=torch.float64)
    step = 1e-3
    with Oracle(model, problems, LOSS, memory=1) as oracle:
        _, gradient = oracle.relaxed(problem, weights)
        above, _ = oracle.relaxed(problem, weights + step * direction)
        below, _ = oracle.relaxed(problem, weights - step * direction)
    slope = (gradient * direction).sum((1, 2))
    torch.testing.assert_close((above - below) / (2 * step), slope.float(), rtol=5e-3, atol=5e-3)


def test_an_open_slot_is_the_mean_of_its_options(tokenizer, bert):
    problems = several(tokenizer, bert)
    with Oracle(bert, problems, LOSS) as oracle:
        open_last = oracle.evaluate(torch.tensor([1]), torch.tensor([[4, 1, 10]]))
        weights = torch.zeros(1, 3, 10)
        weights[0, 0, 4] = weights[0, 1, 1] = 1
        weights[0, 2] = 0.1
        mixed, _ = oracle.relaxed(torch.tensor([1]), weights)
    torch.testing.assert_close(open_last, mixed, rtol=1e-5, atol=1e-6)


def test_shortened_sentences_leave_the_open_slots_out(tokenizer, bert, own_loss):
    problems = several(tokenizer, bert)
    with Oracle(bert, problems, LOSS) as oracle:
        problem, choices = torch.tensor([1, 0, 2]), torch.tensor([[4, 2, 0], [7, 0, 0], [1, 0, 0]])
        scores = oracle.evaluate_shortened(problem, choices, filled=1)
    texts = ["my pin code is 4", "call 7", "blue please now"]
    for score, text, label in zip(scores, texts, [1, 0, 2], strict=True):
        assert score.item() == pytest.approx(own_loss(bert, tokenizer, text, label), abs=1e-5)


def test_the_model_is_left_as_it_was_even_after_an_error(tokenizer, bert):
    bert.train()
    bert.bert.embeddings.dropout.eval()
    bert.classifier.weight.requires_grad_(False)
    before = [m.training for m in bert.modules()], [p.requires_grad for p in bert.parameters()]

    def fail_inside() -> None:
        with Oracle(bert, several(tokenizer, bert), LOSS):
            assert not any(m.training for m in bert.modules())
            assert not any(p.requires_grad for p in bert.parameters())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    after = [m.training for m in bert.modules()], [p.requires_grad for p in bert.parameters()]
    assert before == after
    assert all(p.grad is None for p in bert.parameters())


def test_no_problems_are_refused(bert):
    with pytest.raises(AttackError, match="at least one"):
        Oracle(bert, [], LOSS)


def test_own_input_vectors_are_used_where_a_model_has_them(tokenizer, bert):
    ids = torch.tensor([[5, 6]])
    assert torch.equal(input_vectors(bert, ids), bert.get_input_embeddings()(ids))
    bert.input_vectors = lambda ids: torch.full((*ids.shape, 3), 7.0)
    assert input_vectors(bert, ids).shape == (1, 2, 3)
