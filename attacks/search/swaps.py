"""Greedy coordinate gradient: random swaps among those that the gradient promises."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from attacks.oracle import Oracle
from attacks.pool import Pool, Ranking, random_choices
from attacks.search.base import at_least, rows, steps
from attacks.search.moves import promising


@dataclass(frozen=True)
class Swaps:
    """Score a batch of random swaps among the top k options of each slot; take the best.

    Args:
        restarts: independent starts, side by side.
        steps: gradient steps at most.
        top_k: options of each slot that swaps are drawn from.
        batch_size: swaps drawn a step; equal ones are scored once.
        patience: stop when no start's step has found a new best for so many steps.
    """

    needs_places = True

    restarts: int = 1
    steps: int = 500
    top_k: int = 256
    batch_size: int = 512
    patience: int = 20

    def __post_init__(self) -> None:
        rows(self, "restarts", "batch_size")
        at_least(self, 1, "steps", "top_k", "patience")

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        """See `Search.run`."""
        pool = Pool(oracle)
        layout = oracle.layout
        state = random_choices(oracle, generators, self.restarts).flatten(0, 1)  # (P * R, n)
        problem = torch.arange(len(oracle.problems)).repeat_interleave(self.restarts)
        best = pool.score(problem, state)
        stale = torch.zeros_like(problem)
        streams = [generators[p] for p in problem.tolist()]
        slots = layout.slots.tolist()
        sizes = layout.sizes.tolist()
        for _ in steps(self.steps, "swaps", progress):
            running = (stale < self.patience).nonzero().squeeze(1)
            if not len(running):
                break
            options = promising(oracle, problem[running], state[running], self.top_k)  # (M, n, k)
            trial = state[running].unsqueeze(1).repeat(1, self.batch_size, 1)  # (M, B, n)
            every = torch.arange(self.batch_size)
            for m, row in enumerate(running.tolist()):
                p = int(problem[row])
                slot = torch.randint(slots[p], (self.batch_size,), generator=streams[row])
                most = torch.tensor(sizes[p]).clamp_max(options.shape[2])[slot]
                rank = torch.rand(self.batch_size, generator=streams[row]) * most
                trial[m, every, slot] = options[m, slot, rank.long()]
            flat = problem[running].repeat_interleave(self.batch_size)
            scores = pool.score(flat, trial.flatten(0, 1)).view(len(running), -1)
            lowest, at = scores.min(1)
            # As published, the best of the batch is taken even where it is worse than before.
            state[running] = trial[torch.arange(len(running)), at]
            improved = lowest < best[running]
            best[running] = torch.minimum(lowest, best[running])
            stale[running] = torch.where(improved, 0, stale[running] + 1)
        return pool.rankings()
