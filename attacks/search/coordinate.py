"""Coordinate descent with restarts: the strongest search at the fewest evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.oracle import Oracle
from attacks.pool import Pool, Ranking, random_choices
from attacks.search.base import at_least, rows, steps
from attacks.search.moves import escapes, every_option, promising


@dataclass(frozen=True)
class Coordinate:
    """Sweep over the slots, setting each to its best option, until no change helps.

    A start that is stuck tries changes of several slots at once (`moves.escapes`) and goes on
    where one helps. Starts that meet go on as one; nothing is scored twice.

    Args:
        restarts: random starts, side by side.
        sweeps: rounds over all slots at most.
        score_all: options up to which all swaps of a slot are scored; larger slots score the
            `top_k` that the gradient promises, or all where slots have no places for gradients.
        top_k: swaps scored of a large slot.
        pair_options: next best options of each slot that changes of two slots are built of;
            0 tries changes of order only.
    """

    restarts: int = 12
    sweeps: int = 30
    score_all: int = 100
    top_k: int = 64
    pair_options: int = 2

    def __post_init__(self) -> None:
        rows(self, "restarts")
        at_least(self, 1, "sweeps", "top_k")
        at_least(self, 0, "score_all", "pair_options")

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        """See `Search.run`."""
        return self.explore(oracle, generators, progress=progress).rankings()

    def explore(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> Pool:
        """Search as `run` does and return everything that was scored on the way."""
        pool = Pool(oracle)
        state = random_choices(oracle, generators, self.restarts).flatten(0, 1)  # (P * R, n)
        problem = torch.arange(len(oracle.problems)).repeat_interleave(self.restarts)
        score = pool.score(problem, state)
        for _ in steps(self.sweeps, "coordinate", progress):
            problem, state, score = _merge(problem, state, score)
            before = score.clone()
            for slot in range(state.shape[1]):
                state, score = self._sweep(pool, problem, state, score, slot)
            stuck = (score >= before).nonzero().squeeze(1)
            state, score = self._escape(pool, problem, state, score, stuck)
            moving = score < before
            problem, state, score = problem[moving], state[moving], score[moving]
            if not len(problem):
                break
        return pool

    def _sweep(
        self, pool: Pool, problem: Tensor, state: Tensor, score: Tensor, slot: int
    ) -> tuple[Tensor, Tensor]:
        """Set `slot` of every row to its best option."""
        oracle = pool.oracle
        sizes = oracle.layout.sizes.cpu()[problem, slot]
        whole = (sizes <= self.score_all) | ~oracle.layout.placed.cpu()[problem]
        small = ((sizes > 1) & whole).nonzero().squeeze(1)
        large = (~whole).nonzero().squeeze(1)
        rows, options = every_option(oracle, problem[small], slot)
        rows = small[rows]
        if len(large):
            found = promising(oracle, problem[large], state[large], self.top_k)[:, slot]  # (L, k)
            rows = torch.cat([rows, large.repeat_interleave(found.shape[1])])
            options = torch.cat([options, found.flatten()])
        trial = state[rows]
        trial[:, slot] = options
        return _accept(pool, problem, state, score, rows, trial)

    def _escape(
        self, pool: Pool, problem: Tensor, state: Tensor, score: Tensor, stuck: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Move the stuck rows to the best of their escapes, where it is better."""
        rows, trial = [], []
        for row in stuck.tolist():
            near = escapes(pool, int(problem[row]), tuple(state[row].tolist()), self.pair_options)
            rows += [row] * len(near)
            trial += near
        if not rows:
            return state, score
        return _accept(pool, problem, state, score, torch.tensor(rows), torch.tensor(trial))


def _accept(
    pool: Pool, problem: Tensor, state: Tensor, score: Tensor, rows: Tensor, trial: Tensor
) -> tuple[Tensor, Tensor]:
    """Score trials (M, n) of `rows` (M,); each row goes to its best trial where that is better."""
    if not len(rows):
        return state, score
    scores = pool.score(problem[rows], trial)
    order = scores.sort(stable=True).indices
    order = order[rows[order].sort(stable=True).indices]  # by row, best first within a row
    ordered = rows[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    best = order[first]
    better = best[scores[best] < score[rows[best]]]
    state, score = state.clone(), score.clone()
    state[rows[better]], score[rows[better]] = trial[better], scores[better]
    return state, score


def _merge(problem: Tensor, state: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keep one of the rows that stand at the same candidate of the same problem."""
    seen: dict[tuple[int, ...], int] = {}
    for row, key in enumerate(torch.cat([problem.unsqueeze(1), state], dim=1).tolist()):
        seen.setdefault(tuple(key), row)
    rows = torch.tensor(list(seen.values()), dtype=torch.long)
    return problem[rows], state[rows], score[rows]
