"""Every candidate that a search has scored exactly: a memory, and the ranked result."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.oracle import Oracle

TOP = 100  # candidates that a reconstruction lists

Choices = tuple[int, ...]


@dataclass(frozen=True)
class Ranking:
    """Distinct, exactly scored candidates of one problem, best first.

    Args:
        choices: option indices of the problem's slots, one tuple for each candidate.
        scores: the objective of each; lower is better.
        every: scores (N,) of the whole space in mixed radix, where the search looked at all of it.
    """

    choices: tuple[Choices, ...]
    scores: tuple[float, ...]
    every: Tensor | None = None


class Pool:
    """Exact scores of candidates, each distinct one computed once."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.known: list[dict[Choices, float]] = [{} for _ in oracle.problems]

    def score(self, problem: Tensor, choices: Tensor) -> Tensor:
        """Score choices (N, n) of problems (N,), on the CPU: (N,); only new ones cost."""
        problem, choices = problem.cpu(), choices.cpu()
        keys = list(zip(problem.tolist(), map(tuple, choices.tolist()), strict=True))
        fresh: dict[tuple[int, Choices], int] = {}
        for row, (p, key) in enumerate(keys):
            if key not in self.known[p]:
                fresh.setdefault((p, key), row)
        if fresh:
            rows = torch.tensor(list(fresh.values()))
            scores = self.oracle.evaluate(problem[rows], choices[rows])
            # A model that returns NaN has not ranked its candidate: it goes last.
            for (p, key), score in zip(
                fresh, scores.nan_to_num(nan=torch.inf).tolist(), strict=True
            ):
                self.known[p][key] = score
        return torch.tensor([self.known[p][key] for p, key in keys])

    def rankings(self, top: int = TOP) -> list[Ranking]:
        """Rank the best `top` candidates of each problem; equal scores stay in the order scored."""
        rankings = []
        for p, known in enumerate(self.known):
            slots = int(self.oracle.layout.slots[p])
            best = sorted(known.items(), key=lambda item: item[1])[:top]
            rankings.append(
                Ranking(tuple(key[:slots] for key, _ in best), tuple(score for _, score in best))
            )
        return rankings


def random_choices(oracle: Oracle, generators: Sequence[torch.Generator], rows: int) -> Tensor:
    """Draw uniform candidates (P, rows, n) on the CPU, with one generator for each problem."""
    layout = oracle.layout
    drawn = torch.zeros(*layout.sizes.shape, rows).transpose(1, 2)  # (P, rows, n)
    for p, (generator, slots) in enumerate(zip(generators, layout.slots.tolist(), strict=True)):
        drawn[p, :, :slots] = torch.rand(rows, slots, generator=generator)
    sizes = layout.sizes.cpu().unsqueeze(1)  # (P, 1, n)
    return torch.minimum((drawn * sizes).long(), sizes - 1)  # a product may round up


def random_like(
    oracle: Oracle, generators: Sequence[torch.Generator], rows: int, *, normal: bool
) -> Tensor:
    """Draw standard normal or uniform numbers (P, rows, n, K); zero for absent options."""
    layout = oracle.layout
    draw = torch.randn if normal else torch.rand
    widest = int(layout.sizes.max())
    drawn = torch.zeros(len(oracle.problems), rows, layout.sizes.shape[1], widest)
    for p, (generator, problem) in enumerate(zip(generators, oracle.problems, strict=True)):
        sizes = problem.sizes
        drawn[p, :, : len(sizes), : max(sizes)] = draw(
            rows, len(sizes), max(sizes), generator=generator
        )
    return drawn


def option_mask(oracle: Oracle) -> Tensor:
    """Tell which options exist, (P, n, K) bool; an absent slot has one."""
    sizes = oracle.layout.sizes.cpu()
    return torch.arange(int(sizes.max())) < sizes.unsqueeze(2)


def normal_start(
    oracle: Oracle, generators: Sequence[torch.Generator], restarts: int, std: float
) -> Tensor:
    """Draw normal logits (P, restarts, n, K) to start a search from; -inf where no option is."""
    mask = option_mask(oracle).unsqueeze(1)  # (P, 1, n, K)
    start = std * random_like(oracle, generators, restarts, normal=True)
    return start.masked_fill(~mask, -torch.inf).to(oracle.device)
