"""Moves between candidates: options of a slot to try, and changes of several slots at once."""

from itertools import combinations, permutations, product

import torch
from torch import Tensor
from torch.nn import functional as F

from attacks.neighbours import changed, exchanges, move, reordered
from attacks.oracle import Oracle
from attacks.pool import Choices, Pool


def promising(oracle: Oracle, problem: Tensor, choices: Tensor, top_k: int) -> Tensor:
    """Take the options of each slot whose swap lowers the objective most to first order (HotFlip).

    Costs one gradient for each row.

    Args:
        oracle: gives the gradient.
        problem: (N,) problem of each row.
        choices: (N, n) where each row stands.
        top_k: options of each slot.

    Returns:
        Options (N, n, k), the steepest first. A slot of fewer options repeats its best one.
    """
    widest = int(oracle.layout.sizes.max())
    _, gradient = oracle.relaxed(problem, F.one_hot(choices, widest).float())  # (N, n, K)
    exists = torch.arange(widest) < oracle.layout.sizes.cpu()[problem.cpu()].unsqueeze(2)
    lowest = gradient.cpu().masked_fill(~exists, torch.inf).topk(min(top_k, widest), largest=False)
    return torch.where(lowest.values < torch.inf, lowest.indices, lowest.indices[..., :1])


def every_option(oracle: Oracle, problem: Tensor, slot: int) -> tuple[Tensor, Tensor]:
    """List the row numbers and options of all that `slot` may hold in each row."""
    sizes = oracle.layout.sizes.cpu()[problem.cpu(), slot]
    rows = torch.arange(len(sizes)).repeat_interleave(sizes)
    first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return rows, torch.arange(len(rows)) - first


def escapes(pool: Pool, p: int, at: Choices, pair_options: int) -> list[Choices]:
    """List candidates near a local optimum of single swaps that change several slots at once.

    Orders: exchanges of two slots and moves of one word to another slot, among slots of the same
    options (models lose the order of a secret more easily than the words). Pairs: two slots set
    to their next best options, as far as the pool knows single swaps of them.

    Args:
        pool: what has been scored so far.
        p: the problem.
        at: where the search is stuck, all slots of the layout.
        pair_options: next best options of a slot that pairs are built of.
    """
    problem = pool.oracle.problems[p]
    slots = len(problem.sizes)
    orders = list(exchanges(problem.options).values())
    if len(set(problem.options)) == 1:
        orders += [move(slots, i, j) for i, j in permutations(range(slots), 2) if abs(i - j) > 1]
    found = [reordered(at, order) for order in orders]
    best = [_next_best(pool, p, at, slot, pair_options) for slot in range(slots)]
    for i, j in combinations(range(slots), 2):
        found += [changed(changed(at, i, a), j, b) for a, b in product(best[i], best[j])]
    return [candidate for candidate in dict.fromkeys(found) if candidate != at]


def _next_best(pool: Pool, p: int, at: Choices, slot: int, count: int) -> list[int]:
    """Take the options of `slot` whose single swaps scored best, but the present one."""
    known = pool.known[p]
    scored = []
    for option in range(pool.oracle.problems[p].sizes[slot]):
        score = known.get(changed(at, slot, option))
        if score is not None and option != at[slot]:
            scored.append((score, option))
    return [option for _, option in sorted(scored)[:count]]
