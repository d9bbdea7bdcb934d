"""What the attacker knows: the known tokens, the candidates of every slot, and the label."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.errors import AttackError


@dataclass(frozen=True, eq=False)
class Completion:
    """A sentence with slots to fill, tokenised for one target.

    Args:
        name: how results name the problem.
        parts: literal words and, for each slot, its options, in the order of the sentence.
        input_ids: (T,) token ids, special tokens included, with option 0 in every slot.
        positions: for each slot its token positions (width,).
        candidates: for each slot the token ids of its options (K, width).
        options: for each slot the words it may hold (K).
        label: class index that the target gives the completed sentence.
    """

    name: str
    parts: tuple[str | tuple[str, ...], ...]
    input_ids: Tensor
    positions: tuple[Tensor, ...]
    candidates: tuple[Tensor, ...]
    options: tuple[tuple[str, ...], ...]
    label: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of options of each slot."""
        return tuple(len(options) for options in self.options)

    @property
    def size(self) -> int:
        """Number of possible secrets, exact."""
        return math.prod(self.sizes)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what is asked (not of its name): equal problems draw equal random numbers."""
        asked = (
            self.input_ids.tolist(),
            [p.tolist() for p in self.positions],
            [c.tolist() for c in self.candidates],
            self.label,
        )
        return hashlib.sha256(repr(asked).encode()).hexdigest()

    def secret(self, choices: Sequence[int]) -> tuple[str, ...]:
        """The words of one choice (option index) a slot."""
        return tuple(options[c] for options, c in zip(self.options, choices, strict=True))

    def choices(self, secret: Sequence[str]) -> tuple[int, ...]:
        """The option index of each word of `secret`.

        Raises:
            AttackError: another number of words than slots, or a word that its slot cannot hold.
        """
        if len(secret) != len(self.options):
            raise AttackError(f"secret {' '.join(secret)!r} has {len(secret)} words, not "
                              f"{len(self.options)}, one a slot")  # fmt: skip
        for number, (word, options) in enumerate(zip(secret, self.options, strict=True), 1):
            if word not in options:
                raise AttackError(f"{word!r} is not an option of slot {number}: it holds "
                                  f"{some(options)}")  # fmt: skip
        return tuple(o.index(w) for w, o in zip(secret, self.options, strict=True))

    def text(self, secret: Sequence[str]) -> str:
        """The sentence with `secret` in its slots, words joined by one space."""
        words = iter(secret)
        return " ".join(part if isinstance(part, str) else next(words) for part in self.parts)

    def fill(self, choices: Sequence[int]) -> Tensor:
        """Token ids (T,) of the sentence with these choices."""
        ids = self.input_ids.clone()
        for positions, candidates, choice in zip(
            self.positions, self.candidates, choices, strict=True
        ):
            ids[positions] = candidates[choice]
        return ids


def problem_generators(problems: Sequence[Completion], seed: int) -> list[torch.Generator]:
    """One random stream a problem, a function of the seed and of the problem alone.

    So a problem's result does not depend on which others are attacked in the same batch.
    """
    generators = []
    for problem in problems:
        digest = hashlib.sha256(f"{seed}:{problem.fingerprint}".encode()).digest()
        generators.append(torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1))
    return generators


def some(values: Sequence[str], limit: int = 8) -> str:
    """The first few of `values` for a message."""
    shown = ", ".join(repr(value) for value in values[:limit])
    return shown + (f", ... ({len(values)} in all)" if len(values) > limit else "")
