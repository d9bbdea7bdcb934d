"""Many good candidates a problem, for a ranker that judges them by more than one objective."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, permutations

import torch
from torch import Tensor

from attacks.errors import AttackError
from attacks.oracle import Oracle
from attacks.pool import Choices, Pool
from attacks.search.coordinate import Coordinate
from attacks.search.exhaustive import unravel
from attacks.search.moves import one_hot, steepest

EFFORT = 8  # candidates scored for one that is returned
WIDTH = 32  # candidates whose neighbours are looked at together
SCORE_ALL = 100  # options up to which a neighbour takes any of a slot; else what gradients promise
TOP_K = 32  # options of a larger slot
REORDERED = 0.25  # share of the pool that is kept for other orders of the best candidates
LONGEST_PERMUTED = 6  # slots up to which all orders of a candidate are looked at


def candidate_pool(
    oracle: Oracle,
    generators: Sequence[torch.Generator],
    size: int,
    *,
    search: Coordinate | None = None,
) -> list[Tensor]:
    """Collect the best distinct candidates of every problem, as a ranker needs them.

    Starts from all that a coordinate search scores and goes on best-first: the neighbours of the
    best candidates are scored (one slot changed, two slots exchanged), then the neighbours of the
    best of all so far, until `EFFORT` times `size` are scored. What ranks the secret low while it
    names its words, as the loss does, is met by a share of the pool for other orders of the best
    candidates. A space of at most `EFFORT` times `size` candidates is enumerated.

    Args:
        oracle: scores candidates, and counts what this costs.
        generators: one random stream a problem.
        size: candidates a problem; fewer come back only where the space holds fewer.
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
    small = [p for p, problem in enumerate(oracle.problems) if problem.size <= budget]
    for p in small:
        sizes = oracle.problems[p].sizes
        every = unravel(torch.arange(oracle.problems[p].size), sizes)
        _score(pool, {p: map(tuple, every.tolist())})
    reordered = _score_orders(pool, [p for p in range(len(oracle.problems)) if p not in small])
    _expand(pool, set(range(len(oracle.problems))) - set(small), budget)
    return [_select(pool, p, size, reordered.get(p, ())) for p in range(len(oracle.problems))]


def _expand(pool: Pool, open_problems: set[int], budget: int) -> None:
    """Score neighbours of the best candidates until `budget` are known or none is new."""
    expanded: dict[int, set[Choices]] = {p: set() for p in open_problems}
    while open_problems:
        centres: dict[int, list[Choices]] = {}
        for p in sorted(open_problems):
            known, done = pool.known[p], expanded[p]
            fresh = (key for key in known if key not in done)
            centres[p] = heapq.nsmallest(WIDTH, fresh, key=known.__getitem__)
            done.update(centres[p])
        before = {p: len(pool.known[p]) for p in open_problems}
        options = _options(pool, centres)
        _score(
            pool,
            {
                p: chain.from_iterable(
                    _neighbours(pool, p, at, options[p, at]) for at in centres[p]
                )
                for p in centres
            },
        )
        open_problems = {p for p in open_problems if before[p] < len(pool.known[p]) < budget}


def _options(
    pool: Pool, centres: dict[int, list[Choices]]
) -> dict[tuple[int, Choices], list[list[int]]]:
    """The options to try in each slot of each centre."""
    oracle = pool.oracle
    every = {p: [list(range(size)) for size in oracle.problems[p].sizes] for p in centres}
    found = {(p, at): every[p] for p in centres for at in centres[p]}
    large = [key for key in found if max(oracle.problems[key[0]].sizes) > SCORE_ALL]
    if not large:
        return found
    problem = torch.tensor([p for p, _ in large])
    _, gradient = oracle.relaxed(problem, one_hot(oracle, torch.tensor([at for _, at in large])))
    gradient = gradient.cpu()
    for slot in range(gradient.shape[1]):
        best = steepest(oracle, problem, gradient[:, slot], slot, TOP_K).tolist()
        for key, options in zip(large, best, strict=True):
            if slot == 0:
                found[key] = list(found[key])
            if slot < len(found[key]) and len(found[key][slot]) > SCORE_ALL:
                found[key][slot] = options
    return found


def _neighbours(
    pool: Pool, p: int, at: Choices, options: Sequence[Sequence[int]]
) -> Iterator[Choices]:
    """Candidates with one slot changed, or two slots of the same options exchanged."""
    for slot, its in enumerate(options):
        for option in its:
            yield (*at[:slot], option, *at[slot + 1 :])
    its_options = pool.oracle.problems[p].options
    for i, j in combinations(range(len(options)), 2):
        if its_options[i] == its_options[j]:
            swapped = list(at)
            swapped[i], swapped[j] = at[j], at[i]
            yield tuple(swapped)


def _score_orders(pool: Pool, problems: Sequence[int]) -> dict[int, set[Choices]]:
    """Score other orders of each problem's best candidate; returns them."""
    orders: dict[int, set[Choices]] = {}
    for p in problems:
        slots = len(pool.oracle.problems[p].sizes)
        if len(set(pool.oracle.problems[p].options)) > 1 or slots > LONGEST_PERMUTED:
            continue
        best = min(pool.known[p], key=pool.known[p].__getitem__)
        orders[p] = {(*order, *best[slots:]) for order in permutations(best[:slots])}
    _score(pool, orders)
    return orders


def _score(pool: Pool, candidates: Mapping[int, Iterable[Choices]]) -> None:
    """Score candidates of several problems together."""
    rows = [(p, key) for p, keys in candidates.items() for key in dict.fromkeys(keys)]
    width = pool.oracle.layout.sizes.shape[1]
    if rows:
        padded = [(*key, *(0,) * (width - len(key))) for _, key in rows]
        pool.score(torch.tensor([p for p, _ in rows]), torch.tensor(padded))


def _select(pool: Pool, p: int, size: int, orders: Sequence[Choices] | set[Choices]) -> Tensor:
    """The best `size` candidates, a share of them kept for `orders`; best first."""
    known = pool.known[p]
    kept = heapq.nsmallest(int(size * REORDERED), orders, key=known.__getitem__)
    best = heapq.nsmallest(size, known, key=known.__getitem__)
    chosen = dict.fromkeys([*kept, *best])
    chosen_best = sorted(list(chosen)[:size], key=known.__getitem__)
    slots = len(pool.oracle.problems[p].sizes)
    return torch.tensor(chosen_best)[:, :slots]
