"""Margins of candidates of one problem and of those beside them; HIGHER IS LIKELIER here."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from attacks.oracle import Oracle
from attacks.search.exhaustive import enumerate_scores, unravel

ENUMERATED = 20_000  # spaces up to this size are scored whole, so that every look-up is free
SAMPLED = 4_000  # candidates drawn of a larger space, for what its options do on average
NEIGHBOURS = 32  # options tried in each slot for a candidate's neighbours
NUMBERED = 2**62  # candidates of spaces up to this size have a number, and are scored once


class Margins:
    """Log-odds of the label, logit minus log-sum-exp of the others, under one model.

    Args:
        oracle: of one problem, with the objective `margin` (whose sign is turned here).
        generator: draws the sample of a space that is too large to enumerate.
    """

    def __init__(self, oracle: Oracle, generator: torch.Generator) -> None:
        self.oracle = oracle
        self.sizes = oracle.problems[0].sizes
        self.whole = oracle.problems[0].size <= ENUMERATED
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
        """Margins (N,) of choices (N, n), on the CPU; none is computed twice."""
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
        """Margins (N, n, J) of candidates with one slot changed; NaN where a slot has fewer.

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
        """Margins (N, S) with two slots of the same options exchanged; S may be 0."""
        pairs = exchangeable(self.oracle.problems[0].options)
        margins = torch.empty(len(choices), len(pairs))
        for column, (i, j) in enumerate(pairs):
            swapped = choices.clone()
            swapped[:, [i, j]] = choices[:, [j, i]]
            margins[:, column] = self(swapped)
        return margins

    def effects(self) -> list[Tensor]:
        """What each option of each slot adds to the margin on average: n tensors (K_slot,).

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


def exchangeable(options: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Pairs of slots that hold the same options."""
    return [(i, j) for i, j in combinations(range(len(options)), 2) if options[i] == options[j]]


def draw(sizes: Sequence[int], rows: int, generator: torch.Generator) -> Tensor:
    """Uniform choices (rows, n) of slots of these sizes."""
    return torch.stack([torch.randint(size, (rows,), generator=generator) for size in sizes], 1)


def flat_index(choices: Tensor, sizes: Sequence[int]) -> Tensor:
    """Mixed-radix numbers (N,) of choices (N, n), the last slot fastest."""
    index = torch.zeros(len(choices), dtype=torch.long)
    for slot, size in enumerate(sizes):
        index = index * size + choices[:, slot]
    return index
