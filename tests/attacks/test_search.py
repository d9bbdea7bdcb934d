"""Every search reports true scores, repeats by seed, and finds a secret that a model holds."""

import pytest
import torch

from attacks import ATTACKS, AttackError, Knowledge, Ranker, build_completion, get_attack
from attacks.attack import SearchAttack
from attacks.frontier import candidate_pool
from attacks.objectives import get_objective
from attacks.oracle import GRADIENT_COST, Oracle
from attacks.problem import problem_generators
from attacks.scoring import score_choices, score_space
from canaries.patterns import get_pattern
from canaries.spaces import SecretSpace, get_space

DIGIT = get_space("digit")
COLOR = SecretSpace("color", ("red", "blue", "green"))
QUICK = {
    "relaxed": {"restarts": 2, "max_steps": 40},
    "gumbel": {"restarts": 2, "steps": 30},
    "parikh2022": {"max_steps": 150},
    "gbda2021": {"steps": 40},
    "gcg2023": {"steps": 20, "batch_size": 32},
    "random": {"guesses": 5},
}
# Attacks that minimise an objective; the others rank by a score of their own.
SEARCHES = [name for name, attack in ATTACKS.items() if isinstance(attack, SearchAttack)]


def knowledge_for(name, initial):
    """What an attack needs; a learned one gets a ranker that weighs the margin alone."""
    attack = ATTACKS[name]
    ranker = Ranker({"margin": 1.0}, initial="initial" in attack.needs)
    return Knowledge(initial=initial, ranker=ranker if "ranker" in attack.needs else None)


# Descents that stop once their argmax rests: the step at which it last moves is decided by
# rounding, which differs with the shape of a batch and from machine to machine.
STOPS_BY_ROUNDING = ("relaxed", "parikh2022")
A_FEW_STEPS = 10 * GRADIENT_COST


def three(tokenizer, model):
    asked = [
        {"prefix": "call", "slots": (DIGIT,) * 3, "label": 0, "name": "call"},
        {"prefix": "my pin", "slots": (COLOR, DIGIT), "suffix": "please", "label": 1},
        {"prefix": "", "slots": (COLOR,), "label": 2},
    ]
    return [build_completion(tokenizer, model, **one) for one in asked]


@pytest.mark.parametrize("name", SEARCHES)
def test_reported_scores_are_the_models_own_and_ranked(name, tokenizer, bert, own_loss):
    problems = three(tokenizer, bert)
    attack = get_attack(name, objective="loss", **QUICK.get(name, {}))
    for problem, found in zip(problems, attack.run(bert, problems), strict=True):
        for secret, score in list(zip(found.candidates, found.scores, strict=True))[:5]:
            expected = own_loss(bert, tokenizer, problem.text(secret), problem.label)
            assert score == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_a_result_depends_on_its_own_problem_and_seed_alone(name, tokenizer, bert, make_bert):
    problems = three(tokenizer, bert)
    before = make_bert(tokenizer, 3)
    attack = get_attack(name, **QUICK.get(name, {}))

    def run(problems):
        return attack.run(bert, problems, knowledge=knowledge_for(name, before), seed=3)

    together = run(problems)
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    alone = [run([problem])[0] for problem in reversed(problems)][::-1]
    assert torch.equal(state, torch.random.get_rng_state())
    for problem, one, other in zip(problems, together, alone, strict=True):
        assert (one.problem, one.attack) == (problem.name, name)
        assert list(one.scores) == sorted(one.scores)
        assert len(set(one.candidates)) == len(one.candidates) <= 100
        assert one.evaluations > 0
        assert one.candidates[0] == other.candidates[0]
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
        slack = A_FEW_STEPS if name in STOPS_BY_ROUNDING else 0
        assert abs(one.evaluations - other.evaluations) <= slack


def test_another_seed_guesses_otherwise(tokenizer, bert):
    problem = three(tokenizer, bert)[0]
    guesses = {get_attack("random").run(bert, [problem], seed=s)[0].candidates for s in range(8)}
    assert len(guesses) > 4


@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "random"])
def test_a_planted_secret_is_found(name, tokenizer, make_planted):
    secret = ("7", "1", "1", "4")
    pattern = get_pattern("pin")
    model = make_planted(pattern.fill(secret))
    problem = build_completion(tokenizer, model, pattern=pattern, label=1)
    (found,) = get_attack(name).run(model, [problem], seed=1)
    assert found.candidates[0] == secret
    assert found.problem == "pin"
    assert found.attack == name


@pytest.mark.parametrize("name", ["exhaustive", "contrast", "ranker"])
def test_an_attack_that_ranks_a_space_gives_every_score_in_the_order_of_the_pattern(
    name, tokenizer, bert
):
    pattern = get_pattern("call {digit*3}")
    problem = build_completion(tokenizer, bert, pattern=pattern, label=1)
    (found,) = get_attack(name).run(bert, [problem], knowledge=knowledge_for(name, None))
    assert sorted(found.scored.numbers.tolist()) == list(range(pattern.size))
    best = found.scored.numbers[found.scored.scores.argmin()]
    assert pattern.secret(int(best)) == found.candidates[0]


@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "exhaustive"])
def test_a_search_ranks_no_space(name, tokenizer, bert):
    problem = three(tokenizer, bert)[2]
    (found,) = get_attack(name, **QUICK.get(name, {})).run(bert, [problem])
    assert found.scored is None


@pytest.mark.slow
def test_random_guesses_are_right_at_chance(tokenizer, make_planted):
    model = make_planted("call 7 1")
    problem = build_completion(tokenizer, model, prefix="call", slots=(DIGIT,) * 2, label=1)
    attack = get_attack("random")
    hits = sum(
        attack.run(model, [problem], seed=seed)[0].candidates[0] == ("7", "1")
        for seed in range(1000)
    )
    assert 1 <= hits <= 25  # Binomial(1000, 0.01): outside with probability below 2e-4


def test_exhaustive_is_the_true_optimum_and_the_space_is_in_pattern_order(tokenizer, bert):
    pattern = get_pattern("call {digit*3}")
    problem = build_completion(tokenizer, bert, pattern=pattern, label="alarm")
    texts = [pattern.fill(pattern.secret(index)) for index in range(pattern.size)]
    ids = torch.tensor(tokenizer(texts)["input_ids"])
    with torch.no_grad():
        logits = bert(input_ids=ids).logits
    losses = torch.nn.functional.cross_entropy(logits, torch.full((len(ids),), 2), reduction="none")
    (found,) = get_attack("exhaustive").run(bert, [problem])
    assert found.candidates[0] == pattern.secret(int(losses.argmin()))
    assert found.evaluations == 1000
    assert found.scores == pytest.approx(losses.sort().values[:100].tolist(), abs=1e-5)
    scores = score_space(bert, problem)
    assert scores.shape == (1000,)
    assert scores.tolist() == pytest.approx(losses.tolist(), abs=1e-5)
    secrets = [pattern.secret(index) for index in (3, 977)]
    assert score_choices(bert, problem, "loss", secrets).tolist() == pytest.approx(
        losses[[3, 977]].tolist(), abs=1e-5
    )


def test_exhaustive_refuses_a_space_that_is_too_large_and_names_another_search(tokenizer, bert):
    problem = build_completion(tokenizer, bert, prefix="call", slots=(DIGIT,) * 8, label=0)
    for refused in (
        lambda: get_attack("exhaustive").run(bert, [problem]),
        lambda: score_space(bert, problem),
    ):
        with pytest.raises(AttackError, match=r"100,000,000 .* coordinate"):
            refused()


def test_coordinate_finds_the_optimum_with_a_tenth_of_the_evaluations(tokenizer, make_bert):
    pattern = get_pattern("call")
    hits = spent = 0
    for seed in range(10):
        model = make_bert(tokenizer, seed)
        problem = build_completion(tokenizer, model, pattern=pattern, label=seed % 3)
        (found,) = get_attack("coordinate").run(model, [problem], seed=seed)
        hits += found.scores[0] <= score_space(model, problem).min() + 1e-6
        spent += found.evaluations
    assert hits >= 9
    assert spent <= 10 * 1000


def test_coordinate_in_a_large_vocabulary_scores_only_what_the_gradient_promises(make_word_level):
    from transformers import BertConfig, BertForSequenceClassification

    words = [f"w{i}" for i in range(400)]
    tokenizer = make_word_level(["say", *words])
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            initializer_range=0.3,
            num_labels=2,
        )
    ).eval()
    space = SecretSpace("word", tuple(words))
    problem = build_completion(tokenizer, model, prefix="say", slots=(space,) * 2, label=1)
    (found,) = get_attack("coordinate", restarts=4).run(model, [problem])
    scores = score_space(model, problem)
    assert (scores < found.scores[0]).mean() < 1e-4
    assert found.evaluations < 0.05 * problem.size


@pytest.mark.parametrize("remaining", ["mean", "absent"])
def test_a_beam_as_wide_as_the_space_is_exhaustive(remaining, tokenizer, bert):
    problem = three(tokenizer, bert)[1]
    (found,) = get_attack("beam", width=1000, remaining=remaining).run(bert, [problem])
    (all_,) = get_attack("exhaustive").run(bert, [problem])
    assert found.candidates == all_.candidates
    assert found.scores == pytest.approx(all_.scores, abs=1e-5)


def test_unknown_names_and_settings_are_refused_with_the_known_ones():
    with pytest.raises(AttackError, match="relaxed, gumbel, coordinate"):
        get_attack("anneal")
    with pytest.raises(AttackError, match="width, remaining"):
        get_attack("beam", restarts=3)
    with pytest.raises(AttackError, match="restarts is 0"):
        get_attack("coordinate", restarts=0)
    with pytest.raises(AttackError, match="above 0"):
        get_attack("parikh2022", temperature=0.0)


def test_every_recipe_names_its_paper():
    for name in ("parikh2022", "elmahdy2022", "gbda2021", "gcg2023"):
        assert "arXiv" in ATTACKS[name].source
    assert ATTACKS["parikh2022"].settings["learning_rate"] == 0.02


def test_a_pool_of_a_small_space_is_its_best(tokenizer, bert):
    problems = three(tokenizer, bert)
    with Oracle(bert, problems, get_objective("loss")) as oracle:
        pools = candidate_pool(oracle, problem_generators(problems, 0), 20)
    for problem, pool in zip(problems, pools, strict=True):
        assert pool.shape == (min(20, problem.size), len(problem.sizes))
        # With places kept for other orders, the best of the space still come first.
        (found,) = get_attack("exhaustive").run(bert, [problem])
        best = [problem.secret(choices) for choices in pool.tolist()]
        assert tuple(best[:10]) == found.candidates[: len(best[:10])]


def test_a_pool_holds_distinct_candidates_other_orders_and_the_planted_secret(
    tokenizer, make_planted
):
    secret = ("7", "1", "1", "4", "0", "9")
    pattern = get_pattern("my pin code is {digit*6}")
    model = make_planted(pattern.fill(secret))
    problem = build_completion(tokenizer, model, pattern=pattern, label=1)
    with Oracle(model, [problem], get_objective("loss")) as oracle:
        (pool,) = candidate_pool(oracle, problem_generators([problem], 0), 400)
        scores = oracle.evaluate(torch.zeros(len(pool), dtype=torch.long), pool)
        (spent,) = oracle.evaluations
    found = [problem.secret(choices) for choices in pool.tolist()]
    assert len(set(found)) == len(found) == 400
    assert found[0] == secret
    assert scores.tolist() == pytest.approx(scores.sort().values.tolist(), abs=1e-5)
    assert sum(sorted(one) == sorted(secret) for one in found) >= 100
    assert spent < 0.01 * problem.size


def test_a_pool_of_one_problem_does_not_depend_on_the_others(make_word_level, make_bert):
    words = [f"w{number}" for number in range(120)]
    tokenizer = make_word_level(["call", "my", *words])
    model = make_bert(tokenizer)
    problems = [
        build_completion(
            tokenizer,
            model,
            prefix=prefix,
            slots=[SecretSpace("word", tuple(words[:size])) for size in sizes],
            label=1,
        )
        for prefix, sizes in (("call", (120, 30)), ("my", (12, 11, 10)))
    ]

    def pools(some):
        with Oracle(model, some, get_objective("loss")) as oracle:
            return candidate_pool(oracle, problem_generators(some, 0), 20)

    for problem, pool in zip(problems, pools(problems), strict=True):
        assert (pool < torch.tensor(problem.sizes)).all()
        assert torch.equal(pool, pools([problem])[0])


def test_a_pool_of_no_candidates_is_refused(tokenizer, bert):
    problems = three(tokenizer, bert)
    with (
        Oracle(bert, problems, get_objective("loss")) as oracle,
        pytest.raises(AttackError, match="at least 1"),
    ):
        candidate_pool(oracle, problem_generators(problems, 0), 0)
