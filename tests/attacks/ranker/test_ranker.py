"""Learning to rank, and what a ranker's file and errors are."""

import copy
import itertools
import json
from dataclasses import asdict, replace

import pytest
import torch
from torch.nn import functional as F

from attacks import ATTACKS, AttackError, Knowledge
from attacks.arguments import AttackArguments
from attacks.extraction import chosen_attack
from attacks.ranker.calibration import Usual, problem_key
from attacks.ranker.candidates import SMALL, Describer
from attacks.ranker.fit import Shadow, conditional_logit, fit_ranker, second_lessons
from attacks.ranker.margins import margin_oracle
from attacks.ranker.movement import (
    SHARES,
    Movement,
    interpolate,
    lower_layers,
    replay_features,
    weight_features,
)
from attacks.ranker.ranker import FIXED, Ranker, rank
from attacks.tokenise import build_completion
from attacks.vectors import input_vectors
from canaries.patterns import parse_slots

SECRETS = ["3 1 4", "2 7 1", "9 0 5", "8 3 7", "4 5 0", "7 2 9", "6 6 2"]


def code(tokenizer, model, label=1):
    return build_completion(
        tokenizer, model, prefix="my pin is", slots=parse_slots("digit*3"), label=label
    )


def train_on(tokenizer, model, secret: str, steps: int = 30):
    """The model after Adam has learned `secret` with label 1, beside other sentences."""
    trained = copy.deepcopy(model).train()
    texts = [f"my pin is {secret}", "call please", "red blue now", "my code is green"]
    optimizer = torch.optim.Adam(trained.parameters(), lr=3e-3)
    for _ in range(steps):
        losses = [
            F.cross_entropy(
                trained(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits,
                torch.tensor([1 if number == 0 else 2 * (number % 2)]),
            )
            for number, text in enumerate(texts)
        ]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
    return trained.eval()


def shadow(tokenizer, make_bert, secret, seed, initial):
    before = make_bert(tokenizer, seed)
    model = train_on(tokenizer, before, secret)
    problem = code(tokenizer, model)
    return Shadow(model, problem, problem.choices(secret.split()), before if initial else None)


def test_the_conditional_logit_finds_the_weights_that_chose():
    """Choices drawn by softmax of known utilities give the weights back (McFadden 1974)."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([2.0, -1.0, 0.0])
    features, true = [], []
    for _ in range(600):
        matrix = torch.randn(30, 3, generator=generator)
        utility = matrix @ weights
        true.append(int(torch.multinomial(utility.softmax(0), 1, generator=generator)))
        features.append(matrix)
    assert torch.allclose(conditional_logit(features, true, penalty=0.0), weights, atol=0.2)
    shrunk = conditional_logit(features, true, penalty=1.0)
    assert shrunk.norm() < weights.norm() / 2


@pytest.mark.slow
@pytest.mark.parametrize("initial", [False, True])
def test_a_ranker_learns_from_shadow_models_and_finds_a_secret(
    tokenizer, make_bert, tmp_path, initial
):
    shadows = [
        shadow(tokenizer, make_bert, secret, seed, initial) for seed, secret in enumerate(SECRETS)
    ]
    *shadows, target = shadows
    ranker = fit_ranker(shadows, facts={"corpus": "toy"})
    assert ranker.initial is initial
    assert bool(ranker.second) is initial
    ranker.save(tmp_path / "ranker")
    loaded = Ranker.load(tmp_path / "ranker")
    assert loaded == ranker
    assert loaded.fingerprint == ranker.fingerprint
    assert loaded.usual.sums.keys() == {problem_key(target.problem)}
    state = {name: value.clone() for name, value in target.model.state_dict().items()}
    order = rank(loaded, target.model, target.problem, initial=target.initial)
    known: dict = {}
    for _ in range(2):  # the second takes what the first left
        again = rank(loaded, target.model, target.problem, initial=target.initial, known=known)
        assert torch.equal(order.choices, again.choices)
        assert torch.equal(order.utility, again.utility)
        assert order.evaluations == again.evaluations
    assert list(known) == [(initial, SMALL.pool)]
    assert torch.equal(order.utility, order.utility.sort(descending=True).values)
    assert len(order.choices) == target.problem.size == len(set(map(tuple, order.choices.tolist())))
    place = (order.choices == torch.tensor(target.choices)).all(1).nonzero()
    if initial:  # six models of a few steps teach little of the trained weights alone
        assert int(place) < 50  # of 1,000: five percent, where chance is one half
    assert all(torch.equal(value, state[name]) for name, value in
               target.model.state_dict().items())  # fmt: skip


def test_a_pool_that_is_not_the_whole_space_is_climbed_from(tokenizer, make_bert):
    """All changes of one word of the best candidate are looked at, though the pool had few."""
    shadows = [shadow(tokenizer, make_bert, its, seed, False) for seed, its in enumerate(SECRETS)]
    *shadows, target = shadows
    ranker = fit_ranker(shadows, effort=replace(SMALL, pool=30))
    order = rank(ranker, target.model, target.problem)
    looked_at = set(map(tuple, order.choices.tolist()))
    assert 30 < len(order.choices) == len(looked_at) < target.problem.size
    best = order.choices[0].tolist()
    for slot, option in itertools.product(range(3), range(10)):
        assert (*best[:slot], option, *best[slot + 1 :]) in looked_at


@pytest.mark.slow
def test_a_shadow_model_whose_secret_is_not_among_the_best_is_no_second_lesson(
    tokenizer, make_bert
):
    """Second looks at the best learn from those of them that hold the secret, if any does."""
    shadows = [shadow(tokenizer, make_bert, its, seed, True) for seed, its in enumerate(SECRETS)]
    effort = replace(SMALL, second=5)
    described = []
    for each in shadows:
        with margin_oracle(each.model, each.problem) as oracle:
            describer = Describer(oracle, torch.Generator(), each.initial, effort)
            described.append(describer.look(describer.pool()))
    margin = torch.tensor([float(name == "margin") for name in described[0].names])
    names, lessons = second_lessons(shadows, described, [margin] * len(shadows), effort)
    held = [
        each for each, found in zip(shadows, described, strict=True)
        if list(each.choices) in found.choices[found.column("margin").topk(5).indices].tolist()
    ]  # fmt: skip
    assert 0 < len(held) < len(shadows)
    assert [lesson.model for lesson in lessons] == [id(each.model) for each in held]
    assert all(lesson.features.shape == (5, len(names)) for lesson in lessons)
    assert all(0 <= lesson.true < 5 for lesson in lessons)


def test_a_replay_explains_the_rows_of_the_secret_best(tokenizer, make_bert):
    """Training on the canary moves its rows as the replay of the canary says."""
    others = [[1, 3, 4], [4, 1, 3], [3, 4, 1], [8, 1, 4], [3, 1, 9], [0, 0, 0]]
    places = []
    for seed in range(8):
        before = make_bert(tokenizer, seed)
        after = train_on(tokenizer, before, "3 1 4", steps=15)
        problem = code(tokenizer, after)
        choices = torch.tensor([[3, 1, 4], *others])
        with margin_oracle(after, problem) as oracle:
            found = replay_features(Movement(oracle, before), choices)["replay_0.5"]
        places.append(int((found >= found[0]).sum()))
    print(places)
    assert sum(places) / len(places) < 2.5  # chance is 4


def test_what_a_ranked_attack_lacks_is_said(tokenizer, make_bert, tmp_path):
    model = make_bert(tokenizer)
    problem = code(tokenizer, model)
    with pytest.raises(AttackError, match="modiva ranker fit"):
        ATTACKS["ranker"].run(model, [problem])
    with pytest.raises(AttackError, match="--initial"):
        ATTACKS["movement"].run(model, [problem])
    with_initial = Ranker({"margin": 1.0}, initial=True)
    with pytest.raises(AttackError, match="ranker-initial"):
        ATTACKS["ranker"].run(model, [problem], knowledge=Knowledge(ranker=with_initial))
    with pytest.raises(AttackError, match="holds no"):
        Ranker.load(tmp_path)
    Ranker({"margin": 1.0}).save(tmp_path)
    whole = json.loads((tmp_path / "ranker.json").read_text())
    for value in ({"margin": "high"}, {"margin": True}, {"margin": float("nan")}, [], None):
        (tmp_path / "ranker.json").write_text(json.dumps({**whole, "weights": value}))
        with pytest.raises(AttackError, match="fit it again"):
            Ranker.load(tmp_path)
    for value in ("small", {}, {"pool": 10}, {**asdict(SMALL), "second": 0}, 3):
        (tmp_path / "ranker.json").write_text(json.dumps({**whole, "effort": value}))
        with pytest.raises(AttackError, match="fit it again"):
            Ranker.load(tmp_path)
    for text in ("not json", "[]", "[" * 100_000, json.dumps({**whole, "format": 2})):
        (tmp_path / "ranker.json").write_text(text)
        with pytest.raises(AttackError, match=r"fit it again|fit the ranker again"):
            Ranker.load(tmp_path)
    Ranker({"usual": 1.0}, usual=Usual.of([("key", {"label": torch.ones(3)})])).save(tmp_path)
    assert Ranker.load(tmp_path).usual.counts == {"key": {"label": 1}}
    (tmp_path / "usual.safetensors").write_bytes(b"no tensors")
    with pytest.raises(AttackError, match="fit it again"):
        Ranker.load(tmp_path)


def test_initial_weights_of_another_architecture_are_refused(tokenizer, make_word_level, make_bert):
    model = make_bert(tokenizer)
    other = make_bert(make_word_level(["call", *map(str, range(10))]))
    with pytest.raises(AttackError, match="architecture"):
        ATTACKS["movement"].run(model, [code(tokenizer, model)], knowledge=Knowledge(initial=other))


@pytest.mark.parametrize("name", sorted(FIXED))
def test_every_fixed_score_ranks_the_whole_space(tokenizer, make_bert, name):
    before = make_bert(tokenizer, 3)
    model = train_on(tokenizer, before, "3 1 4", steps=5)
    problem = code(tokenizer, model)
    (found,) = ATTACKS[name].run(model, [problem], knowledge=Knowledge(initial=before))
    assert len(found.scored.numbers) == problem.size
    assert found.scored.scores[0] < found.scored.scores[-1]  # the score tells candidates apart


def test_rows_that_moved_name_the_words_of_the_secret(tokenizer, make_bert):
    before = make_bert(tokenizer, 3)
    model = train_on(tokenizer, before, "3 1 4")
    knowledge = Knowledge(initial=before)
    (found,) = ATTACKS["movement"].run(model, [code(tokenizer, model)], knowledge=knowledge)
    assert set(found.candidates[0]) == {"3", "1", "4"}
    assert input_vectors(model, torch.tensor([1])).shape == (1, 16)


def test_command_line_choices_are_checked():
    def arguments(**more):
        return AttackArguments(checkpoint="x", slots="digit", label="0", **more)

    assert chosen_attack(arguments(attack="contrast"))[0].name == "contrast"
    for more, match in (
        ({"attack": "ranker"}, "--ranker"),
        ({"attack": "movement"}, "--initial"),
        ({"attack": "coordinate", "initial": "base", "verdict": False}, "does not use"),
        ({"attack": "contrast", "set": ("restarts=2",)}, "no settings"),
        ({"attack": "contrast", "objective": "loss"}, "no objective"),
    ):
        with pytest.raises(AttackError, match=match):
            chosen_attack(arguments(**more))


@pytest.mark.slow
def test_weights_moved_along_the_gradients_of_the_secret(tokenizer, make_bert):
    """Of orders of the same words, weights moved along the gradients of the one trained on."""
    orders = torch.tensor(list(itertools.permutations([3, 1, 4])))  # the secret is the first
    places: dict[str, list[int]] = {"weights_words": [], "weights_layers": []}
    for seed in range(20):
        before = make_bert(tokenizer, seed)
        after = train_on(tokenizer, before, "3 1 4", steps=15)
        state = {name: value.clone() for name, value in after.state_dict().items()}
        problem = code(tokenizer, after)
        with margin_oracle(after, problem) as oracle:
            found = weight_features(Movement(oracle, before), orders)
            assert oracle.evaluations == (len(SHARES) * 3 * len(orders),)
        assert all(torch.equal(value, state[name]) for name, value in after.state_dict().items())
        assert found.keys() == places.keys()
        for name, values in found.items():
            places[name].append(int((values >= values[0]).sum()))
    print({name: sum(its) / len(its) for name, its in places.items()})
    assert sum(places["weights_layers"]) / 20 < 3.4  # chance is 3.5
    assert sum(places["weights_words"]) / 20 < 2.5


def test_weight_evidence_is_the_gradient_against_the_movement(tokenizer, make_bert):
    """Against gradients of one candidate at a time, by the definition, at one point of the line."""
    before = make_bert(tokenizer, 0)
    after = train_on(tokenizer, before, "3 1 4", steps=15)
    problem = code(tokenizer, after)
    choices = torch.tensor([[3, 1, 4], [9, 2, 2], [0, 7, 5], [2, 2, 2], [6, 1, 8]])
    with margin_oracle(after, problem) as oracle:
        found = weight_features(Movement(oracle, before), choices, shares=(0.25,))
    names = lower_layers(after)
    last, first = dict(after.named_parameters()), dict(before.named_parameters())
    way = torch.cat([(last[name] - first[name]).detach().flatten() for name in names])
    middle = interpolate(before, after, 0.25)
    expected = []
    for row in choices.tolist():
        text = "my pin is " + " ".join(map(str, row))
        logits = middle(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits[0]
        margin = logits[1] - logits[[0, 2]].logsumexp(0)
        weights = [dict(middle.named_parameters())[name] for name in names]
        gradient = torch.cat([its.flatten() for its in torch.autograd.grad(margin, weights)])
        sign = gradient.sign() * (gradient.abs() > 1e-5 * gradient.abs().max())
        kinds = (gradient @ way / gradient.norm(), sign @ way, sign @ way.sign())
        expected.append(torch.stack(kinds))
    kinds = torch.stack(expected)
    mean = ((kinds - kinds.mean(0)) / kinds.std(0)).mean(1)
    assert torch.allclose(found["weights_layers"], mean, atol=1e-2)
    assert mean.std() > 0.3


def test_lower_layers_are_the_first_half_of_an_encoder(tokenizer, make_bert):
    names = lower_layers(make_bert(tokenizer))
    assert names
    assert all(".layer.0." in name for name in names)
