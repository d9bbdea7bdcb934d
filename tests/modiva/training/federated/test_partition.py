"""Who holds what, and who takes part: facts of distributions, by many draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modiva.errors import ModivaError
from modiva.training.federated.partition import assign, client_sizes
from modiva.training.federated.selection import draw_fixed, draw_poisson, inclusion

KINDS = [("label", 0.1), ("label", 100.0), ("quantity", 0.5), ("zipf", 1.2), ("cluster", 3.0)]


@pytest.mark.parametrize(("kind", "number"), KINDS)
@given(seed=st.integers(0, 2**32), clients=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_every_sentence_is_of_one_client_and_every_client_has_one(kind, number, seed, clients):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 5, size=int(rng.integers(clients, 200)))
    client = assign(kind, number, groups, clients, rng)
    assert client.shape == groups.shape
    sizes = np.bincount(client, minlength=clients)
    assert len(sizes) == clients
    assert sizes.min() >= 1
    if kind in ("label", "cluster"):
        assert np.ptp(sizes) <= 1


def shares(client, groups, clients):
    """Share of its commonest group, of each client."""
    return np.array([np.bincount(groups[client == k]).max() / (client == k).sum()
                     for k in range(clients)])  # fmt: skip


def test_a_small_alpha_gives_clients_few_intents_and_a_large_one_all():
    groups = np.random.default_rng(0).integers(0, 7, size=7_000)
    means = [
        shares(assign("label", alpha, groups, 50, np.random.default_rng(1)), groups, 50).mean()
        for alpha in (0.1, 1.0, 10.0, 1_000.0)
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.85
    assert means[-1] < 0.25  # a seventh, and a deviation of 140 draws


def test_first_clients_have_intents_as_the_dirichlet_distribution_says():
    """Mean and variance of q_k ~ Dir(alpha * prior), where the groups are not used up."""
    alpha, prior = 5.0, np.array([0.5, 0.3, 0.2])
    groups = np.repeat([0, 1, 2], [1_000, 600, 400])
    first = []
    for seed in range(400):
        client = assign("label", alpha, groups, 10, np.random.default_rng(seed))
        first.append(np.bincount(groups[client == 0], minlength=3) / 200)
    found = np.array(first)
    variance = prior * (1 - prior) / (alpha + 1)
    sampling = prior * (1 - prior) / 200 * alpha / (alpha + 1)  # of 200 draws from q_k
    assert found.mean(0) == pytest.approx(prior, abs=0.03)
    assert found.var(0) == pytest.approx(variance + sampling, rel=0.25)


def test_zipf_sizes_fall_as_one_over_the_rank():
    sizes = client_sizes("zipf", 1.0, 100_000, 100, np.random.default_rng(0))
    assert sizes.sum() == 100_000
    assert sizes[0] / sizes[9] == pytest.approx(10, rel=0.01)


def test_more_clients_than_sentences_are_refused():
    with pytest.raises(ModivaError, match="--clients 11: the training split has 10 sentences"):
        assign("label", 1.0, np.zeros(10, dtype=int), 11, np.random.default_rng(0))


@given(
    sizes=st.lists(st.integers(0, 1_000), min_size=1, max_size=30),
    power=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    per_round=st.integers(1, 30),
)
def test_probabilities_of_taking_part_add_up_to_the_clients_of_a_round(sizes, power, per_round):
    found = inclusion(np.array(sizes), power, per_round)
    able = len(sizes) if power == 0 else sum(size > 0 for size in sizes)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-12
    assert found.sum() == pytest.approx(min(per_round, able))


def test_activity_is_in_proportion_to_sentences_up_to_certainty():
    found = inclusion(np.array([10, 20, 30, 1_000]), 1.0, 2)
    assert found.tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6, 1.0])
    assert inclusion(np.array([10, 20, 30, 1_000]), 0.0, 2).tolist() == [0.5] * 4


@pytest.mark.parametrize("draw", [draw_fixed, draw_poisson])
def test_clients_take_part_as_often_as_their_probability_says(draw):
    wanted = inclusion(np.array([1, 5, 10, 40, 100, 300]), 1.0, 3)
    rng = np.random.default_rng(5)
    drawn = [draw(wanted, rng) for _ in range(20_000)]
    found = np.bincount(np.concatenate(drawn), minlength=6) / 20_000
    assert found == pytest.approx(wanted, abs=0.012)
    assert all(len(set(one.tolist())) == len(one) for one in drawn)
    if draw is draw_fixed:
        assert {len(one) for one in drawn} == {3}
