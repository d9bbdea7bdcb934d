"""The protocol of searches: settings, and a run that returns one ranking for each problem."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import torch
from tqdm import tqdm

from attacks.errors import AttackError
from attacks.oracle import Oracle
from attacks.pool import Ranking

MOST_ROWS = 10**6  # candidates that a search holds side by side


class Search(Protocol):
    """A frozen dataclass of settings that looks for the lowest objective."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        """Search all of the oracle's problems side by side.

        Args:
            oracle: scores candidates and counts evaluations.
            generators: one random stream for each problem, on the CPU.
            progress: show a bar on standard error.
        """
        ...


def steps(count: int, name: str, progress: bool) -> "tqdm[int]":
    """Count steps 0..count-1, with a bar where wanted and where a terminal shows it."""
    return tqdm(range(count), desc=name, disable=None if progress else True, leave=False)


def at_least(search: object, low: float, *names: str) -> None:
    """Check that settings of `search` are at least `low`; else raise AttackError."""
    _check(search, names, lambda value: value >= low, f"at least {low}")


def rows(search: object, *names: str) -> None:
    """Check settings that are numbers of candidates at a time: 1 to `MOST_ROWS`."""
    _check(search, names, lambda value: 1 <= value <= MOST_ROWS, f"1 to {MOST_ROWS:,}")


def positive(search: object, *names: str) -> None:
    """Check that settings of `search` are above 0; else raise AttackError."""
    _check(search, names, lambda value: value > 0, "above 0")


def _check(
    search: object, names: Sequence[str], allowed: Callable[[float], bool], rule: str
) -> None:
    for name in names:
        value = getattr(search, name)
        if not allowed(value):
            raise AttackError(f"{type(search).__name__.lower()}: {name} is {value}, must be {rule}")
