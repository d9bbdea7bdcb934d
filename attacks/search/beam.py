"""Beam search: fill the slots from left to right, keeping the best beginnings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from attacks.errors import AttackError
from attacks.oracle import Oracle
from attacks.pool import Pool, Ranking
from attacks.search.base import at_least, steps

COMPLETED = 8  # ways to fill open slots that have no places for a mean vector


@dataclass(frozen=True)
class Beam:
    """Keep the `width` best beginnings of the secret at each slot.

    Args:
        width: beginnings kept.
        remaining: what stands in the slots that are still open: the "mean" of their options'
            vectors, or nothing ("absent": the sentence is shorter). Where slots have no places for
            vectors, "mean" is the mean score of `COMPLETED` ways to fill them.
    """

    width: int = 32
    remaining: Literal["mean", "absent"] = "mean"

    def __post_init__(self) -> None:
        at_least(self, 1, "width")
        if self.remaining not in ("mean", "absent"):
            raise AttackError(f"beam: remaining is {self.remaining!r}, must be 'mean' or 'absent'")

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        """See `Search.run`."""
        pool = Pool(oracle)
        sizes, slots = oracle.layout.sizes.cpu(), oracle.layout.slots.cpu()
        problem = torch.arange(len(oracle.problems))
        choices = torch.zeros_like(sizes)  # (rows, n), one empty beginning a problem
        for slot in steps(sizes.shape[1], "beam", progress):
            options = sizes[problem, slot]
            problem = problem.repeat_interleave(options)
            choices = choices.repeat_interleave(options, dim=0)
            first = (options.cumsum(0) - options).repeat_interleave(options)
            choices[:, slot] = torch.arange(len(problem)) - first
            full = slots[problem] <= slot + 1
            scores = torch.empty(len(problem))
            scores[full] = pool.score(problem[full], choices[full])
            scores[~full] = self._score_open(
                oracle, generators, problem[~full], choices[~full], slot + 1
            )
            kept = torch.cat(
                [
                    rows[scores[rows].sort(stable=True).indices[: self.width]]
                    for rows in ((problem == p).nonzero().squeeze(1) for p in range(len(slots)))
                ]
            )
            problem, choices = problem[kept], choices[kept]
        return pool.rankings()

    def _score_open(
        self,
        oracle: Oracle,
        generators: Sequence[torch.Generator],
        problem: Tensor,
        choices: Tensor,
        filled: int,
    ) -> Tensor:
        """Score beginnings whose slots from `filled` on are open: (N,)."""
        if not len(problem):
            return torch.empty(0)
        if self.remaining == "absent":
            return oracle.evaluate_shortened(problem, choices, filled)
        sizes, placed = oracle.layout.sizes.cpu(), oracle.layout.placed.cpu()
        choices = choices.clone()
        choices[:, filled:] = sizes[problem, filled:]  # the mean of the options
        scores = torch.empty(len(problem))
        with_places = placed[problem]
        if with_places.any():
            scores[with_places] = oracle.evaluate(problem[with_places], choices[with_places])
        for p in problem[~with_places].unique().tolist():
            rows = (problem == p).nonzero().squeeze(1)
            own = len(oracle.problems[p].sizes)
            drawn = torch.rand(COMPLETED, own - filled, generator=generators[p])
            most = sizes[p, filled:own] - 1
            open_choices = torch.minimum((drawn * (most + 1)).long(), most)
            every = choices[rows].repeat_interleave(COMPLETED, dim=0)
            every[:, filled:] = 0  # of slots that the problem does not have
            every[:, filled:own] = open_choices.repeat(len(rows), 1)
            scored = oracle.evaluate(torch.full((len(every),), p), every)
            scores[rows] = scored.view(len(rows), COMPLETED).mean(1)
        return scores
