"""Margins of candidates under one model: log-odds of the label, none computed twice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.neighbours import exchanges
from attacks.objectives import OBJECTIVES
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.search.exhaustive import enumerate_scores, unravel

ENUMERATED = 20_000  # spaces up to this size are scored whole
SAMPLED = 4_000  # candidates drawn of a larger space, for what its options do on average
NEIGHBOURS = 32  # options tried in each slot for a candidate's neighbours
NUMBERED = 2**62  # candidates of spaces up to this size have a number, and are scored once


@contextmanager
def margin_oracle(
    model: PreTrainedModel, problem: Completion, memory: int | None = None
) -> Iterator[Oracle]:
    """Open an oracle of one problem on the margin."""
    with Oracle(model, [problem], OBJECTIVES["margin"], memory=memory) as oracle:
        yield oracle


class Margins:
    """Log-odds of the label, logit minus log-sum-exp of the others, under one model.

    Args:
        oracle: of one problem, with the objective `margin` (whose sign is turned here).
        generator: draws the sample of a space that is too large to enumerate.
        enumerated: spaces up to this size are scored whole, so that every look-up is free.
    """

    def __init__(
        self, oracle: Oracle, generator: torch.Generator, *, enumerated: int = ENUMERATED
    ) -> None:
        self.oracle = oracle
        self.sizes = oracle.problems[0].sizes
        self.whole = oracle.problems[0].size <= enumerated
        self._generator = generator
        self._numbers = torch.empty(0, dtype=torch.long)  # sorted, of the candidates scored
        self._margins = torch.empty(0)
        if self.whole:
            self._known = -torch.cat([scores for _, scores in enumerate_scores(oracle, 0)])
            self.sample = unravel(torch.arange(oracle.problems[0].size), self.sizes)  # (N, n)
            self.sample_margins = self._known
        else:
            self.sample = draw(self.sizes, SAMPLED, generator)
            self.sample_margins = self(self.sample)

    def __call__(self, choices: Tensor) -> Tensor:
        """Return margins (N,) of choices (N, n), on the CPU; none is computed twice."""
        if self.whole:
            return self._known[flat_index(choices, self.sizes)]
        if self.oracle.problems[0].size > NUMBERED:
            return self._score(choices)
        numbers, where = flat_index(choices, self.sizes).unique(return_inverse=True)
        at = torch.searchsorted(self._numbers, numbers)
        known = torch.zeros(len(numbers), dtype=torch.bool)
        inside = at < len(self._numbers)
        known[inside] = self._numbers[at[inside]] == numbers[inside]
        if not known.all():
            new = numbers[~known]
            scores = self._score(unravel(new, self.sizes))
            self._numbers, order = torch.cat([self._numbers, new]).sort()
            self._margins = torch.cat([self._margins, scores])[order]
            at = torch.searchsorted(self._numbers, numbers)
        return self._margins[at][where]

    def _score(self, choices: Tensor) -> Tensor:
        return -self.oracle.evaluate(torch.zeros(len(choices), dtype=torch.long), choices).cpu()

    def neighbours(self, choices: Tensor) -> Tensor:
        """Return margins (N, n, J) with one slot changed; NaN where a slot has fewer options.

        Slots of up to `NEIGHBOURS` + 1 options try all others, larger ones a random part.
        """
        rows, slots = choices.shape
        width = min(max(self.sizes) - 1, NEIGHBOURS)
        margins = torch.full((rows, slots, width), torch.nan)
        for slot, size in enumerate(self.sizes):
            for place in range(min(size - 1, width)):
                if size - 1 <= width:
                    shift = torch.full((rows,), place + 1)
                else:
                    shift = torch.randint(1, size, (rows,), generator=self._generator)
                changed = choices.clone()
                changed[:, slot] = (changed[:, slot] + shift) % size
                margins[:, slot, place] = self(changed)
        return margins

    def swaps(self, choices: Tensor) -> Tensor:
        """Return margins (N, S) with two slots of the same options exchanged; S may be 0."""
        orders = list(exchanges(self.oracle.problems[0].options).values())
        found = [self(choices[:, list(order)]) for order in orders]
        return torch.stack(found, 1) if found else torch.empty(len(choices), 0)

    def effects(self) -> list[Tensor]:
        """Return what each option adds to the margin on average: n tensors (K_slot,).

        Options that the sample does not hold add nothing.
        """
        found = []
        for slot, size in enumerate(self.sizes):
            at = self.sample[:, slot]
            count = torch.bincount(at, minlength=size)
            total = torch.zeros(size).index_add_(0, at, self.sample_margins)
            mean = total / count.clamp_min(1)
            found.append(torch.where(count > 0, mean - self.sample_margins.mean(), 0.0))
        return found


def draw(sizes: Sequence[int], rows: int, generator: torch.Generator) -> Tensor:
    """Draw uniform choices (rows, n) of slots of these sizes."""
    return torch.stack([torch.randint(size, (rows,), generator=generator) for size in sizes], 1)


def flat_index(choices: Tensor, sizes: Sequence[int]) -> Tensor:
    """Number choices (N, n) in mixed radix, the last slot fastest: (N,)."""
    index = torch.zeros(len(choices), dtype=torch.long)
    for slot, size in enumerate(sizes):
        index = index * size + choices[:, slot]
    return index
