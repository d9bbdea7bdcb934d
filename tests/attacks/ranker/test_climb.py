"""Climbing to a secret that the pool does not hold."""

from dataclasses import replace

import torch

from attacks.ranker.candidates import SHORTLIST, SMALL, Describer, absent, neighbours
from attacks.ranker.evidence import standardise
from attacks.ranker.margins import margin_oracle
from attacks.tokenise import build_completion
from canaries.patterns import parse_slots
from canaries.spaces import SecretSpace

SECRET = torch.tensor([3, 1, 4, 1, 5, 9])


def describer_of(oracle, initial=None):
    effort = replace(SMALL, beyond=200)
    return Describer(oracle, torch.Generator().manual_seed(0), initial, effort)


def test_a_climb_ends_at_the_best_of_a_million(tokenizer, make_bert):
    """A utility that counts right digits leads to the secret, whatever the margin says."""
    model = make_bert(tokenizer)
    problem = build_completion(
        tokenizer, model, prefix="my pin is", slots=parse_slots("digit*6"), label=1
    )

    def right(its):
        return (its.choices == SECRET).sum(1).float()

    with margin_oracle(model, problem) as oracle:
        describer = describer_of(oracle)
        pool = describer.pool()
        pool = pool[right_of(pool) < 4]
        its = describer.look(pool)
        found = describer.climb(pool, right)
        assert found.evaluations == oracle.evaluations[0]
    assert right(its).max() < 4
    assert torch.equal(found.choices[right(found).argmax()], SECRET)
    assert len(set(map(tuple, found.choices.tolist()))) == len(found.choices)
    # The pool stays, and its features stay on their scale.
    assert torch.equal(found.choices[: found.pooled], its.choices)
    assert torch.allclose(found.column("margin")[: found.pooled], its.column("margin"), atol=1e-5)


def right_of(choices):
    return (choices == SECRET).sum(1)


def test_neighbours_change_exchange_or_move(tokenizer, make_bert):
    problem = build_completion(
        tokenizer,
        make_bert(tokenizer),
        prefix="call",
        slots=[*parse_slots("digit*3"), SecretSpace("color", ("red", "blue", "green"))],
        label=0,
    )
    sizes = problem.sizes
    at = (1, 2, 3, 0)
    near = neighbours(problem, [at], [range(size) for size in sizes])
    differ = (near != torch.tensor(at)).sum(1)
    assert int((differ == 1).sum()) == sum(size - 1 for size in sizes)
    assert {tuple(row) for row in near[differ == 2].tolist()} == {
        (2, 1, 3, 0),
        (1, 3, 2, 0),
        (3, 2, 1, 0),
    }
    assert {tuple(row) for row in near[differ == 3].tolist()} == {(2, 3, 1, 0), (3, 1, 2, 0)}


def test_large_slots_are_tried_by_evidence(make_word_level, make_bert):
    words = [f"w{number}" for number in range(80)]
    tokenizer = make_word_level(["call", *words])
    model, before = make_bert(tokenizer, 1), make_bert(tokenizer, 1)
    rows = model.get_input_embeddings().weight
    moved = tokenizer.convert_tokens_to_ids(["w7", "w70"])
    with torch.no_grad():
        rows[moved] += 1.0
    slots = [SecretSpace("word", tuple(words))] * 2
    problem = build_completion(tokenizer, model, prefix="call", slots=slots, label=1)
    with margin_oracle(model, problem) as oracle:
        tried = describer_of(oracle, before).shortlist()
    for slot in tried:
        assert {7, 70} <= set(slot)
        assert SHORTLIST <= len(slot) <= 2 * SHORTLIST


def test_absent_rows_come_once_and_in_order():
    present = torch.tensor([[0, 1], [2, 3]])
    found = absent(torch.tensor([[5, 5], [0, 1], [4, 4], [5, 5]]), present)
    assert found.tolist() == [[5, 5], [4, 4]]
    assert absent(present, present).shape == (0, 2)


def test_the_scale_is_that_of_the_pool():
    values = torch.tensor([1.0, 3.0, 100.0])
    matrix, names = standardise({"a": values}, 2)
    assert names == ("a",)
    assert matrix[:, 0].tolist() == [-1.0, 1.0, 98.0]
