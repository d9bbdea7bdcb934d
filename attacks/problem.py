"""What the attacker knows: the known tokens, the candidates of every slot, and the label."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from attacks.errors import AttackError
from attacks.texts import BLOCK, Texts


@dataclass(frozen=True, eq=False)
class Completion:
    """A sentence with slots to fill, tokenised for one target.

    Where the tokenizer keeps the slots apart, each has places of its own in a sentence of fixed
    length: `positions` and `candidates`, which vectors and gradients need. Elsewhere (digits that
    are glued, options of several lengths) they are empty, and sentences are tokenised whole.

    Args:
        name: how results name the problem.
        parts: literal text and, for each slot, its options: the sentence is all of them joined.
        input_ids: (T,) token ids, special tokens included, with option 0 in every slot.
        positions: for each slot its token positions (width,); empty without places.
        candidates: for each slot the token ids of its options (K, width); empty without places.
        options: for each slot the words it may hold (K).
        label: class index that the target gives the completed sentence.
        texts: the sentences, tokenised whole.
        inputs: what the tokenizer gives the model besides `input_ids`, by name: each (T, ...).
    """

    name: str
    parts: tuple[str | tuple[str, ...], ...]
    input_ids: Tensor
    positions: tuple[Tensor, ...]
    candidates: tuple[Tensor, ...]
    options: tuple[tuple[str, ...], ...]
    label: int
    texts: Texts
    inputs: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def placed(self) -> bool:
        """Whether each slot has places of its own."""
        return bool(self.positions)

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
            *([] if self.placed else self.parts),
        )
        return hashlib.sha256(repr(asked).encode()).hexdigest()

    def secret(self, choices: Sequence[int]) -> tuple[str, ...]:
        """Return the words of one choice (option index) per slot."""
        return tuple(options[c] for options, c in zip(self.options, choices, strict=True))

    def choices(self, secret: Sequence[str]) -> tuple[int, ...]:
        """Return the option index of each word of `secret`.

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
        """Return the sentence with `secret` in its slots."""
        options = iter(secret)
        return "".join(part if isinstance(part, str) else next(options) for part in self.parts)

    def fill(self, choices: Tensor | Sequence[int]) -> Tensor:
        """Return token ids (..., T) of sentences with choices (..., n), where slots have places."""
        choices = torch.as_tensor(choices, dtype=torch.long)
        ids = self.input_ids.expand(*choices.shape[:-1], -1).clone()
        for slot, (positions, candidates) in enumerate(
            zip(self.positions, self.candidates, strict=True)
        ):
            ids[..., positions] = candidates[choices[..., slot]]
        return ids

    def examples(self) -> list[tuple[int, ...]]:
        """Return the choices of three candidates: the first, the last and one between."""
        sizes = self.sizes
        found = [tuple(0 for _ in sizes), tuple(size - 1 for size in sizes),
                 tuple((size - 1) * (n + 1) // (len(sizes) + 1) for n, size in enumerate(sizes)),
                 tuple(min(slot, size - 1) for slot, size in enumerate(sizes))]  # fmt: skip
        return list(dict.fromkeys(found))

    def is_text(self, choices: Tensor) -> Tensor:
        """Tell whether the tokens of choices (N, n) are those of their sentence: (N,) bool.

        Slots with places are tokenised one at a time, and a tokenizer may merge what stands in
        several; sentences that are tokenised whole are text.
        """
        if not self.placed:
            return torch.ones(len(choices), dtype=torch.bool)
        found: list[bool] = []
        for block in choices.split(BLOCK):
            encoded = self.texts.encode([self.texts.text(row) for row in block.tolist()])
            filled = self.fill(block).tolist()
            found += [ids == its for ids, its in zip(encoded, filled, strict=True)]
        return torch.tensor(found, dtype=torch.bool)

    def check(self, choices: Tensor) -> None:
        """Check that the tokens of choices (N, n) are those of their sentences.

        Raises:
            AttackError: some are not; the message counts them and shows the first.
        """
        true = self.is_text(choices)
        if not true.all():
            secret = self.secret(choices[int((~true).nonzero()[0])].tolist())
            raise AttackError(
                f"the tokenizer merges slots in {self.text(secret)!r}, so that "
                f"{int((~true).sum()):,} of {len(choices):,} secrets are not the tokens of their "
                "slots, and would be scored on tokens that their text does not have: use slots "
                "whose options it keeps apart, or put a known word between them"
            )


def problem_generators(problems: Sequence[Completion], seed: int) -> list[torch.Generator]:
    """Seed one random stream per problem, by the seed and the problem alone.

    So a problem's result does not depend on which others are attacked in the same batch.
    """
    generators = []
    for problem in problems:
        digest = hashlib.sha256(f"{seed}:{problem.fingerprint}".encode()).digest()
        generators.append(torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1))
    return generators


def some(values: Sequence[str], limit: int = 8) -> str:
    """Return the first few of `values` for a message."""
    shown = ", ".join(repr(value) for value in values[:limit])
    return shown + (f", ... ({len(values)} in all)" if len(values) > limit else "")
