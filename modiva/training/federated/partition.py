"""Who holds which sentence: every sentence is of exactly one client, and every client has one."""

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modiva.errors import ModivaError

Integers = NDArray[np.int64]
CLUSTER_ALPHA = 1.0  # of the Dirichlet distribution over clusters


def check_clients(sentences: int, clients: int) -> None:
    """Refuse a partition that would leave a client without a sentence.

    Raises:
        ModivaError: more clients than sentences.
    """
    if sentences < clients:
        raise ModivaError(
            f"--clients {clients}: the training split has {sentences} sentences, so that some "
            "clients would have none; take fewer clients or more --sentences"
        )


def assign(
    kind: str, number: float, groups: Integers, clients: int, rng: np.random.Generator
) -> Integers:
    """Assign sentences to clients.

    Args:
        kind: "label" and "cluster" give all clients equally many sentences of few groups (Hsu et
            al. 2019, arXiv 1909.06335), "quantity" and "zipf" give alike ones of many sizes.
        number: alpha of label, beta of quantity, the exponent of zipf; of cluster not read.
        groups: (N,) intent or cluster of each sentence, from 0.
        clients: how many.
        rng: of all draws.

    Returns:
        (N,) the client of each sentence.

    Raises:
        ModivaError: fewer sentences than clients.
    """
    check_clients(len(groups), clients)
    sizes = client_sizes(kind, number, len(groups), clients, rng)
    if kind in ("quantity", "zipf"):
        return rng.permutation(np.repeat(np.arange(clients), sizes))
    return _by_group(groups, sizes, number if kind == "label" else CLUSTER_ALPHA, rng)


def whose(examples: Sequence[tuple[str, str]], column: str) -> list[str]:
    """Return the value of a column beside each training sentence (N,).

    Raises:
        ModivaError: sentences that have none.
    """
    found = [getattr(example, "beside", {}).get(column, "") for example in examples]
    if missing := found.count(""):
        raise ModivaError(
            f"--partition natural:{column}: {missing} of {len(found)} training sentences have no "
            "value in that column; fill it, or leave them out"
        )
    return found


def assign_people(people: Sequence[str], clients: int) -> Integers:
    """Assign sentences to clients by whose they are.

    With fewer clients than people several share one: those with most sentences come first, each to
    the client that has fewest.

    Args:
        people: (N,) whose each sentence is.
        clients: how many.

    Returns:
        (N,) the client of each sentence.

    Raises:
        ModivaError: fewer people than clients.
    """
    names, where, counts = np.unique(np.array(people), return_inverse=True, return_counts=True)
    if len(names) < clients:
        raise ModivaError(
            f"--clients {clients}: the column of the partition names {len(names)} people in the "
            f"training sentences, so that some clients would have none; give {len(names)} or fewer"
        )
    loads = [(0, client) for client in range(clients)]
    client_of = np.empty(len(names), dtype=np.int64)
    for name in np.argsort(-counts, kind="stable").tolist():
        load, client = loads[0]
        client_of[name] = client
        heapq.heapreplace(loads, (load + int(counts[name]), client))
    found: Integers = client_of[where]
    return found


def client_sizes(
    kind: str, number: float, sentences: int, clients: int, rng: np.random.Generator
) -> Integers:
    """Return the sentences of each client, (clients,), all 1 or more."""
    if kind == "quantity":
        shares = rng.dirichlet(np.full(clients, number))
        return 1 + rng.multinomial(sentences - clients, shares).astype(np.int64)
    # Of zipf the first client has the most.
    power = number if kind == "zipf" else 0.0
    weights = np.arange(1, clients + 1, dtype=float) ** -power
    exact = (sentences - clients) * weights / weights.sum()
    sizes = 1 + np.floor(exact).astype(np.int64)
    largest = np.argsort(-(exact % 1), kind="stable")[: sentences - sizes.sum()]
    sizes[largest] += 1
    found: Integers = sizes
    return found


def _by_group(
    groups: Integers, sizes: Integers, alpha: float, rng: np.random.Generator
) -> Integers:
    """Give each client its number of sentences, by shares of groups q ~ Dir(alpha * prior).

    A group that is used up leaves its share to the others.
    """
    counts = np.bincount(groups)  # (G,)
    prior = counts / counts.sum()
    left = [list(rng.permutation(np.flatnonzero(groups == g))) for g in range(len(counts))]
    client_of = np.empty(len(groups), dtype=np.int64)
    for client, size in enumerate(sizes):
        shares = rng.dirichlet(np.maximum(alpha * prior, 1e-12))
        missing = int(size)
        while missing:
            there = np.array([len(rest) > 0 for rest in left])
            weights = np.where(there, shares, 0.0)
            # Shares so concentrated that nothing of them is left: what there is, by its amount.
            if weights.sum() < 1e-12:
                weights = np.array([float(len(rest)) for rest in left])
            drawn = rng.multinomial(missing, weights / weights.sum())
            for rest, wanted in zip(left, drawn, strict=True):
                taken = min(int(wanted), len(rest))
                for _ in range(taken):
                    client_of[rest.pop()] = client
                missing -= taken
    return client_of
