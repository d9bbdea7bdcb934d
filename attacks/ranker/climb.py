"""Climbing to candidates that the pool does not hold, by a ranker's own utility.

Where a space cannot be enumerated, the pool follows the margin, which ranks many a secret too low
to be in it. The utility is a better guide: the neighbours of the candidates of the highest utility
are looked at, then those of the best so far, until the best have no neighbour that is new.
"""

import time
from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from attacks.problem import Completion
from attacks.ranker.candidates import Described, Describer, absent, is_large
from attacks.ranker.margins import exchangeable

ROUNDS = 10
WIDTH_SMALL, WIDTH_LARGE = 8, 2  # candidates whose neighbours are looked at in a round
KEPT = 1_000  # candidates beside the pool that stay from round to round
SHORTLIST = 32  # options tried in a larger slot, by each kind of evidence


def climb(describer: Describer, pool: Tensor, utility: Callable[[Described], Tensor]) -> Described:
    """The pool with the candidates found on the way up beside it, on the scale of the pool.

    Args:
        describer: of the problem, inside its oracle's context; all that its oracle spent counts.
        pool: choices (K, n) to start from.
        utility: (K,) of described candidates; higher is likelier.
    """
    started = time.perf_counter()
    its = describer.look(pool)
    options = shortlist(describer)
    width = WIDTH_LARGE if is_large(describer.oracle.model) else WIDTH_SMALL
    expanded: set[tuple[int, ...]] = set()
    for _ in range(ROUNDS):
        scores = utility(its)
        best = its.choices[scores.topk(min(width, len(scores))).indices]
        centres = [at for at in map(tuple, best.tolist()) if at not in expanded]
        if not centres:
            break
        expanded.update(centres)
        near = neighbours(describer.problem, centres, options)
        beside = its.choices[its.pooled :]
        if len(beside) > KEPT:
            beside = beside[scores[its.pooled :].topk(KEPT).indices]
        its = describer.look(pool, torch.cat([beside, absent(near, its.choices)]))
    spent = describer.oracle.evaluations[0]
    return its.after(spent, describer.seconds + time.perf_counter() - started)


def neighbours(
    problem: Completion, centres: Sequence[Sequence[int]], options: Sequence[Sequence[int]]
) -> Tensor:
    """Candidates (m, n) beside centres.

    One slot is changed, two of the same options are exchanged, or the word of one is moved to
    another place past slots of the same options: models lose order more easily than words.
    """
    pairs = exchangeable(problem.options)
    alike = {pair for pair in pairs if len(set(problem.options[pair[0] : pair[1] + 1])) == 1}
    found: dict[tuple[int, ...], None] = {}
    for at in centres:
        for slot, its in enumerate(options):
            for option in its:
                found[*at[:slot], option, *at[slot + 1 :]] = None
        for i, j in pairs:
            swapped = list(at)
            swapped[i], swapped[j] = at[j], at[i]
            found[tuple(swapped)] = None
            if (i, j) in alike:
                found[*at[:i], *at[i + 1 : j + 1], at[i], *at[j + 1 :]] = None
                found[*at[:i], at[j], *at[i:j], *at[j + 1 :]] = None
    return torch.tensor(list(found))


def shortlist(describer: Describer) -> list[list[int]]:
    """The options to try in each slot: all of a small one, else those with most evidence."""
    evidence = [describer.margins.effects()]
    if describer.evidence is not None:
        evidence.append(describer.evidence)
    chosen = [dict.fromkeys(range(size) if size <= SHORTLIST else ()) for size in
              describer.problem.sizes]  # fmt: skip
    for slots, (slot, its) in product(evidence, enumerate(chosen)):
        if describer.problem.sizes[slot] > SHORTLIST:
            its.update(dict.fromkeys(slots[slot].topk(SHORTLIST).indices.tolist()))
    return [list(its) for its in chosen]
