"""The score `match` against the naive formula, and evidence that is added up over rounds."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from attacks import AttackError, Knowledge, Shadow, fit_ranker, get_attack
from attacks.adding import add_evidence
from attacks.attack import Reconstruction, Scored
from attacks.problem import Completion
from attacks.ranker.candidates import Described
from attacks.ranker.match import MATCH, MATCH_WEIGHTS, WAYS, Match
from attacks.search.exhaustive import unravel
from attacks.tokenise import build_completion
from canaries.patterns import parse_slots


def code(tokenizer, model, slots="digit*2") -> Completion:
    return build_completion(
        tokenizer, model, prefix="my pin is", slots=parse_slots(slots), label="music"
    )


def step(model, tokenizer, texts, label=1, rate=0.5):
    """The model after one step of SGD on sentences."""
    after = copy.deepcopy(model)
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        loss = cross_entropy(model(input_ids=ids).logits, torch.tensor([label]))
        names, values = zip(*model.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss, values)
        with torch.no_grad():
            for name, gradient in zip(names, gradients, strict=True):
                after.get_parameter(name).sub_(rate / len(texts) * gradient)
    return after


TABLE = "bert.embeddings.word_embeddings.weight"


def naive(model, initial, tokenizer, problem, choices, shares, names=(TABLE,)):
    """-<D, G> / |G|, G a mean over points of the way; of the table the options' rows."""
    options = torch.tensor(sorted({int(token) for one in problem.candidates for token in one}))
    part = {name: options if name == TABLE else slice(None) for name in names}

    def flat(values):
        return torch.cat([value[part[name]].flatten() for name, value in values.items()])

    moved = flat({n: model.get_parameter(n) - initial.get_parameter(n) for n in names})
    found = []
    for row in choices.tolist():
        ids = torch.tensor([tokenizer(problem.text(problem.secret(row)))["input_ids"]])
        total = torch.zeros_like(moved)
        for share in shares:
            between = copy.deepcopy(initial)
            for name, value in between.named_parameters():
                value.data.lerp_(model.get_parameter(name).data, share)
            loss = cross_entropy(between(input_ids=ids).logits, torch.tensor([problem.label]))
            weights = [between.get_parameter(name) for name in names]
            total += flat(dict(zip(names, torch.autograd.grad(loss, weights), strict=True)))
        found.append(-(moved * total).sum() / total.norm())
    return torch.stack(found).detach()


def test_match_is_the_formula_also_where_a_word_stands_twice(tokenizer, bert):
    problem = code(tokenizer, bert)
    after = step(bert, tokenizer, ["my pin is 3 3", "call my pin 5", "red 7 now"])
    choices = unravel(torch.arange(100), problem.sizes)
    found = Match(after, bert, problem)(choices)
    ways = [naive(after, bert, tokenizer, problem, choices, points) for points in WAYS]
    # Up to the weight decay that a movement is freed of, of which this step had none.
    assert any(torch.allclose(found, one, atol=2e-3 * float(one.abs().max())) for one in ways)


def test_the_second_look_is_the_formula_on_all_other_weights(tokenizer, bert):
    problem = code(tokenizer, bert)
    after = step(bert, tokenizer, ["my pin is 4 1", "call my pin 5"])
    match, choices = Match(after, bert, problem), torch.tensor([[4, 1], [1, 4], [4, 4], [0, 9]])
    first = match(choices)
    described = Described(choices, first[:, None], (MATCH,), 0, 0.0, len(choices))
    found = match.second_look(described, torch.arange(4), first).column(MATCH_WEIGHTS)
    names = [name for name, _ in bert.named_parameters() if name != TABLE]
    ways = [naive(after, bert, tokenizer, problem, choices, points, names) for points in WAYS]
    assert any(
        torch.allclose(found, (one - one.mean()) / one.std(correction=0), atol=0.05) for one in ways
    )


def test_no_candidate_is_matched_twice_and_all_are_counted(tokenizer, bert):
    problem = code(tokenizer, bert)
    match = Match(step(bert, tokenizer, ["my pin is 4 1"]), bert, problem)
    every = unravel(torch.arange(100), problem.sizes)
    some = match(every[:60])
    spent = match.evaluations
    assert spent >= 60 * 3  # a gradient costs three evaluations
    assert torch.equal(match(every[:60].flip(0)), some.flip(0))
    assert match.evaluations == spent
    assert torch.equal(match(every)[:60], some)
    assert spent < match.evaluations < 2 * spent


@pytest.mark.parametrize("secret", ["3 3", "4 1", "0 9"])
def test_one_step_on_a_secret_gives_it_away(tokenizer, bert, secret):
    problem = code(tokenizer, bert)
    after = step(bert, tokenizer, [f"my pin is {secret}"])
    (found,) = get_attack("match").run(after, [problem], knowledge=Knowledge(initial=bert))
    assert " ".join(found.candidates[0]) == secret
    assert found.scored is not None
    assert len(found.scored.numbers) == 100


def test_a_step_of_the_head_alone_gives_the_secret_away(tokenizer, bert):
    """No row of a word moves; the gradient of the head is that of the encoder's output."""
    problem = code(tokenizer, bert)
    after = step(bert, tokenizer, ["my pin is 4 1"])
    for name, weight in after.named_parameters():
        if not name.startswith("classifier"):
            weight.data.copy_(bert.get_parameter(name))
    (found,) = get_attack("match").run(after, [problem], knowledge=Knowledge(initial=bert))
    assert " ".join(found.candidates[0]) == "4 1"


def test_match_needs_the_weights_before_the_step(tokenizer, bert):
    with pytest.raises(AttackError, match="weights before training"):
        get_attack("match").run(bert, [code(tokenizer, bert)])


def found(problem, scores, numbers=None, attack="match"):
    numbers = torch.arange(len(scores)) if numbers is None else torch.tensor(numbers)
    values = torch.tensor(scores, dtype=torch.float)
    order = values.argsort()
    choices = unravel(numbers[order], problem.sizes).tolist()
    scored = Scored(numbers, values)
    return Reconstruction.of(
        problem, attack, attack, choices, values[order].tolist(), 7, 0.5, scored
    )


def test_evidence_of_rounds_is_the_sum_of_standardised_scores(tokenizer, bert):
    problem = code(tokenizer, bert, "digit")
    draws = torch.Generator().manual_seed(0)
    rounds = [(10.0**k * torch.randn(10, generator=draws)).tolist() for k in (0, 3, -3)]
    total = add_evidence(problem, [found(problem, scores) for scores in rounds])
    matrix = torch.tensor(rounds)
    mean, deviation = matrix.mean(1, keepdim=True), matrix.std(1, keepdim=True, correction=0)
    expected = ((matrix - mean) / deviation).sum(0)
    by_number = dict(zip(total.scored.numbers.tolist(), total.scored.scores.tolist(), strict=True))
    assert [by_number[n] for n in range(10)] == pytest.approx(expected.tolist(), abs=1e-4)
    assert total.candidates[0] == problem.secret((int(expected.argmin()),))
    assert (total.evaluations, total.seconds) == (21, 1.5)


def test_a_candidate_that_a_round_did_not_compare_has_its_worst_score(tokenizer, bert):
    problem = code(tokenizer, bert, "digit")
    pools = [found(problem, [0.0, 1.0], [2, 5]), found(problem, [0.0, 1.0, 2.0], [2, 5, 7])]
    total = add_evidence(problem, pools)
    by_number = dict(zip(total.scored.numbers.tolist(), total.scored.scores.tolist(), strict=True))
    assert by_number[2] < by_number[5] < by_number[7]


def test_many_weak_rounds_name_what_none_names_alone(tokenizer, bert):
    """Twenty rounds in which the secret is 1.5 deviations better than the mean of others."""
    problem = code(tokenizer, bert)
    draws = torch.Generator().manual_seed(1)
    rounds = []
    for _ in range(20):
        scores = torch.randn(100, generator=draws)
        scores[42] -= 1.5
        rounds.append(found(problem, scores.tolist()))
    assert sum(one.candidates[0] == ("4", "2") for one in rounds) < 10
    assert add_evidence(problem, rounds).candidates[0] == ("4", "2")


def test_searches_have_no_evidence_to_add_up(tokenizer, bert):
    problem = code(tokenizer, bert)
    (one,) = get_attack("coordinate").run(bert, [problem])
    assert add_evidence(problem, [one]) is one
    with pytest.raises(AttackError, match="coordinate compares no scores"):
        add_evidence(problem, [one, one])


def test_rankers_fitted_on_updates_weigh_their_match_and_others_do_not(tokenizer, bert):
    shadows = []
    for secret in ("3 1", "0 7", "9 9"):
        after = step(bert, tokenizer, [f"my pin is {secret}", "call my pin 5", "red 7 now"])
        problem = code(tokenizer, after)
        shadows.append(Shadow(after, problem, problem.choices(secret.split()), bert))
    learned = fit_ranker(shadows, updates=True)
    assert learned.weights["match"] > 0
    assert "match" not in fit_ranker(shadows[:1]).weights
    target = step(bert, tokenizer, ["my pin is 4 6", "call my pin 5", "red 7 now"])
    knowledge = Knowledge(initial=bert, ranker=learned)
    (found,) = get_attack("ranker-initial").run(
        target, [code(tokenizer, target)], knowledge=knowledge
    )
    assert ("4", "6") in found.candidates[:10]
