"""Moves between candidates: which options of a slot to try, and changes of two slots at once."""

from itertools import combinations, product

import torch
from torch import Tensor

from attacks.oracle import Oracle
from attacks.pool import Choices, Pool


def one_hot(oracle: Oracle, choices: Tensor) -> Tensor:
    """Weights (N, n, K) of choices (N, n)."""
    widest = int(oracle.layout.sizes.max())
    return torch.nn.functional.one_hot(choices, widest).float()


def promising(
    oracle: Oracle, problem: Tensor, choices: Tensor, slot: int, top_k: int
) -> tuple[Tensor, Tensor]:
    """The options of `slot` whose swap lowers the objective most to first order (HotFlip).

    Costs a gradient a row.

    Args:
        oracle: gives the gradient.
        problem: (N,) problem of each row.
        choices: (N, n) where each row stands.
        slot: the slot to change.
        top_k: options a row.

    Returns:
        Row numbers (N * top_k,) and options (N * top_k,).
    """
    _, gradient = oracle.relaxed(problem, one_hot(oracle, choices))
    options = steepest(oracle, problem, gradient[:, slot].cpu(), slot, top_k)
    rows = torch.arange(len(problem)).repeat_interleave(options.shape[1])
    return rows, options.flatten()


def steepest(oracle: Oracle, problem: Tensor, gradient: Tensor, slot: int, top_k: int) -> Tensor:
    """Options (N, top_k) of `slot` with the lowest gradient (N, K), among those that exist."""
    sizes = oracle.layout.sizes.cpu()[problem.cpu(), slot]
    exists = torch.arange(gradient.shape[1]) < sizes.unsqueeze(1)
    # A row with fewer options repeats its best one; the pool scores it once.
    lowest = gradient.masked_fill(~exists, torch.inf).topk(
        min(top_k, gradient.shape[1]), largest=False
    )
    return torch.where(lowest.values < torch.inf, lowest.indices, lowest.indices[:, :1])


def every_option(oracle: Oracle, problem: Tensor, slot: int) -> tuple[Tensor, Tensor]:
    """Row numbers and options of all that `slot` may hold in each row."""
    sizes = oracle.layout.sizes.cpu()[problem.cpu(), slot]
    rows = torch.arange(len(sizes)).repeat_interleave(sizes)
    first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return rows, torch.arange(len(rows)) - first


def escapes(pool: Pool, p: int, at: Choices, pair_options: int) -> list[Choices]:
    """Candidates near a local optimum of single swaps that change several slots at once.

    Orders: exchanges of two slots and moves of one slot to another place, among slots of the same
    options (models lose the order of a secret more easily than its words). Pairs: two slots set
    to their next best options, as far as the pool knows single swaps of them.

    Args:
        pool: what has been scored so far.
        p: the problem.
        at: where the search is stuck, all slots of the layout.
        pair_options: next best options of a slot that pairs are built of.
    """
    problem = pool.oracle.problems[p]
    slots = len(problem.sizes)
    found: list[Choices] = []
    for i, j in combinations(range(slots), 2):
        if problem.options[i] == problem.options[j]:
            swapped = list(at)
            swapped[i], swapped[j] = at[j], at[i]
            found.append(tuple(swapped))
    if len(set(problem.options)) == 1:
        for i, j in product(range(slots), repeat=2):
            if abs(i - j) > 1:
                moved = list(at[:slots])
                moved.insert(j, moved.pop(i))
                found.append((*moved, *at[slots:]))
    best = [_next_best(pool, p, at, slot, pair_options) for slot in range(slots)]
    for i, j in combinations(range(slots), 2):
        for a, b in product(best[i], best[j]):
            changed = list(at)
            changed[i], changed[j] = a, b
            found.append(tuple(changed))
    return [candidate for candidate in dict.fromkeys(found) if candidate != at]


def _next_best(pool: Pool, p: int, at: Choices, slot: int, count: int) -> list[int]:
    """The options of `slot` whose single swaps scored best, the present one left out."""
    known = pool.known[p]
    scored = []
    for option in range(pool.oracle.problems[p].sizes[slot]):
        score = known.get((*at[:slot], option, *at[slot + 1 :]))
        if score is not None and option != at[slot]:
            scored.append((score, option))
    return [option for _, option in sorted(scored)[:count]]
