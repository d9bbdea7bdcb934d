"""Best-first expansion: look beside the best candidates, then beside the best of all so far."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import count, permutations
from typing import TypeVar

import torch
from torch import Tensor

from attacks.errors import AttackError
from attacks.neighbours import changes, exchanges, reordered
from attacks.oracle import Oracle
from attacks.pool import Choices, Pool
from attacks.search.coordinate import Coordinate
from attacks.search.exhaustive import unravel
from attacks.search.moves import promising

EFFORT = 8  # candidates scored for one that is returned
WIDTH = 32  # candidates whose neighbours are looked at together
SCORE_ALL = 100  # options up to which a neighbour takes any of a slot; else what gradients promise
TOP_K = 32  # options of a larger slot
REORDERED = 0.25  # share of the pool that is kept for other orders of the best candidates
LONGEST_PERMUTED = 6  # slots up to which all orders of a candidate are looked at

Centre = TypeVar("Centre")


def expand(
    best: Callable[[AbstractSet[Centre]], Sequence[Centre]],
    look: Callable[[Sequence[Centre]], None],
    rounds: int | None = None,
) -> None:
    """Look beside the best candidates, round by round, until none of the best is new.

    Args:
        best: the best candidates so far that are not among those already expanded.
        look: scores the neighbours of candidates, so that `best` may return them.
        rounds: at most so many; None sets no limit.
    """
    expanded: set[Centre] = set()
    for _ in count() if rounds is None else range(rounds):
        centres = best(expanded)
        if not centres:
            return
        expanded.update(centres)
        look(centres)


def candidate_pool(
    oracle: Oracle,
    generators: Sequence[torch.Generator],
    size: int,
    *,
    search: Coordinate | None = None,
) -> list[Tensor]:
    """Collect the best distinct candidates of every problem, as a ranker needs them.

    Starts from all that a coordinate search scores and expands best-first, by changes of one slot
    and exchanges of two, until `EFFORT` times `size` candidates are scored. The loss names the
    words of a secret more easily than their order, so a share of the pool is kept for other orders
    of the best candidate. A space of at most `EFFORT` times `size` candidates is enumerated.

    Args:
        oracle: scores candidates, and counts what this costs.
        generators: one random stream for each problem.
        size: candidates of each problem; fewer come back only where the space holds fewer.
        search: the search to start from.

    Returns:
        For each problem choices (K, n) of its own slots, best first, K <= size.

    Raises:
        AttackError: a size below 1.
    """
    if size < 1:
        raise AttackError(f"a pool of {size} candidates: ask for at least 1")
    pool = (search or Coordinate()).explore(oracle, generators)
    budget = EFFORT * size
    larger = []
    for p, problem in enumerate(oracle.problems):
        if problem.size > budget:
            larger.append(p)
        else:
            every = unravel(torch.arange(problem.size), problem.sizes)
            _score(pool, ((p, tuple(row)) for row in every.tolist()))
    orders = {p: _orders(pool, p) for p in larger}
    _score(pool, ((p, key) for p, keys in orders.items() for key in keys))
    _expand(pool, set(larger), budget)
    return [_select(pool, p, size, orders.get(p, set())) for p in range(len(oracle.problems))]


def _expand(pool: Pool, growing: set[int], budget: int) -> None:
    """Expand `growing` problems until `budget` candidates of each are known or none is new."""

    def best(expanded: AbstractSet[tuple[int, Choices]]) -> list[tuple[int, Choices]]:
        found = []
        for p in sorted(growing):
            known = pool.known[p]
            fresh = (key for key in known if (p, key) not in expanded)
            found += [(p, key) for key in heapq.nsmallest(WIDTH, fresh, key=known.__getitem__)]
        return found

    def look(centres: Sequence[tuple[int, Choices]]) -> None:
        before = {p: len(pool.known[p]) for p in growing}
        _score(pool, _neighbours(pool, centres))
        growing.intersection_update(p for p in before if before[p] < len(pool.known[p]) < budget)

    expand(best, look)


def _neighbours(
    pool: Pool, centres: Sequence[tuple[int, Choices]]
) -> Iterator[tuple[int, Choices]]:
    """Yield problems and candidates with one slot changed, or two of the same options exchanged."""
    problems = pool.oracle.problems
    options: list[list[Sequence[int]]] = [[*map(range, problems[p].sizes)] for p, _ in centres]
    large = [
        row
        for row, (p, _) in enumerate(centres)
        if problems[p].placed and max(problems[p].sizes) > SCORE_ALL
    ]
    if large:
        problem = torch.tensor([centres[row][0] for row in large])
        at = torch.tensor([centres[row][1] for row in large])
        steepest = promising(pool.oracle, problem, at, TOP_K).tolist()
        for row, slots in zip(large, steepest, strict=True):
            options[row] = [
                few if len(every) > SCORE_ALL else every
                for every, few in zip(options[row], slots, strict=False)
            ]
    for (p, key), tried in zip(centres, options, strict=True):
        yield from ((p, other) for other in changes(key, tried))
        for order in exchanges(problems[p].options).values():
            yield p, reordered(key, order)


def _orders(pool: Pool, p: int) -> set[Choices]:
    """Put the best candidate in all orders, if they are few and all slots hold the same options."""
    options, known = pool.oracle.problems[p].options, pool.known[p]
    if len(set(options)) > 1 or len(options) > LONGEST_PERMUTED:
        return set()
    best = min(known, key=known.__getitem__)
    return {reordered(best, order) for order in permutations(range(len(options)))}


def _score(pool: Pool, candidates: Iterable[tuple[int, Choices]]) -> None:
    """Score candidates of several problems together."""
    rows = list(dict.fromkeys(candidates))
    width = pool.oracle.layout.sizes.shape[1]
    if rows:
        padded = [(*key, *(0,) * (width - len(key))) for _, key in rows]
        pool.score(torch.tensor([p for p, _ in rows]), torch.tensor(padded))


def _select(pool: Pool, p: int, size: int, orders: set[Choices]) -> Tensor:
    """Take the best `size` candidates, a share of them kept for `orders`; best first."""
    known = pool.known[p]
    kept = heapq.nsmallest(int(size * REORDERED), orders, key=known.__getitem__)
    best = heapq.nsmallest(size, known, key=known.__getitem__)
    chosen = list(dict.fromkeys([*kept, *best]))[:size]
    slots = len(pool.oracle.problems[p].sizes)
    return torch.tensor(sorted(chosen, key=known.__getitem__))[:, :slots]
