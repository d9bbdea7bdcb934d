"""Score every candidate: the true optimum of an objective, and every candidate's rank."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.errors import AttackError
from attacks.oracle import Oracle
from attacks.pool import TOP, Ranking
from attacks.progress import evaluations_bar
from attacks.texts import WHOLE

LIMIT = 10**7  # candidates; minutes for a small model, hours for a large one
BLOCK = 2**16  # candidates whose scores are looked at together


@dataclass(frozen=True)
class Exhaustive:
    """Enumerate the space of each problem, keeping the best."""

    ranks = True

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        """See `Search.run`.

        Raises:
            AttackError: a space holds more than 10^7 candidates.
        """
        for problem in oracle.problems:
            check_enumerable(problem.size)
        total = sum(problem.size for problem in oracle.problems)
        rankings = []
        with evaluations_bar("exhaustive", progress, total):
            for p, problem in enumerate(oracle.problems):
                blocks = [block for _, block in enumerate_scores(oracle, p)]
                scores = torch.cat(blocks).nan_to_num(nan=torch.inf)
                best = scores.sort(stable=True).indices[:TOP]  # ties stay in the order of the space
                choices = unravel(best, problem.sizes).tolist()
                rankings.append(
                    Ranking(tuple(map(tuple, choices)), tuple(scores[best].tolist()), scores)
                )
        return rankings


def check_enumerable(size: int) -> None:
    """Raise AttackError where a space is too large to enumerate."""
    if size > LIMIT:
        raise AttackError(
            f"the space holds {size:,} candidates and exhaustive scores at most {LIMIT:,}: use "
            "--attack coordinate, which finds the optimum without enumerating"
        )


def enumerate_scores(oracle: Oracle, p: int) -> Iterator[tuple[int, Tensor]]:
    """Yield (first index, scores) of blocks of problem `p`'s space, the last slot fastest.

    Raises:
        AttackError: candidates whose tokens are not those of their text.
    """
    problem = oracle.problems[p]
    slots = oracle.layout.sizes.shape[1]
    for start in range(0, problem.size, BLOCK):
        index = torch.arange(start, min(start + BLOCK, problem.size))
        choices = torch.zeros(len(index), slots, dtype=torch.long)
        choices[:, : len(problem.sizes)] = real = unravel(index, problem.sizes)
        if problem.size > WHOLE:  # smaller ones were tokenised whole when they were built
            problem.check(real)
        yield start, oracle.evaluate(torch.full_like(index, p), choices)


def unravel(index: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return choices (N, n) of mixed-radix numbers (N,), the last slot fastest."""
    digits = []
    for size in reversed(sizes):
        digits.append(index % size)
        index = index // size
    return torch.stack(digits[::-1], dim=1)
