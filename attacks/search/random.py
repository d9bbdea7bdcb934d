"""Random guesses: the floor under every attack."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from attacks.oracle import Oracle
from attacks.pool import Pool, Ranking, random_choices
from attacks.search.base import rows


@dataclass(frozen=True)
class Random:
    """Guess uniformly and keep the best.

    Args:
        guesses: how many; one is chance, more is random search at that many evaluations.
    """

    guesses: int = 1

    def __post_init__(self) -> None:
        rows(self, "guesses")

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        """See `Search.run`."""
        pool = Pool(oracle)
        choices = random_choices(oracle, generators, self.guesses)  # (P, guesses, n)
        problem = torch.arange(len(choices)).repeat_interleave(self.guesses)
        pool.score(problem, choices.flatten(0, 1))
        return pool.rankings()
