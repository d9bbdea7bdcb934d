"""Sentences of a template as token ids, tokenised whole: exact for whatever a tokenizer makes."""

import inspect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.errors import AttackError
from attacks.vocabulary import embedding_rows, longest_input

WHOLE = 2**16  # sentences of spaces up to this size are all tokenised when a problem is built
BLOCK = 2**14  # sentences tokenised together


@dataclass(frozen=True, eq=False)
class Tokens:
    """Sentences side by side, as long as the longest, with what else the tokenizer gives.

    Args:
        lengths: (N,) tokens of each sentence.
        inputs: by name, "input_ids" among them: each (N, T, ...), zeros after a sentence's end.
    """

    lengths: Tensor
    inputs: Mapping[str, Tensor]

    def rows(self, rows: Tensor, length: int, device: torch.device) -> dict[str, Tensor]:
        """Return the model's inputs for sentences `rows` (B,) of one length: (B, length, ...)."""
        return {
            name: values[rows, :length].long().to(device) for name, values in self.inputs.items()
        }


@dataclass(frozen=True)
class Limits:
    """What a model takes.

    Args:
        length: tokens of a sentence at most.
        rows: of the table of token vectors; None where there is none.
        unknown: the id of unknown words; None where there is none.
    """

    length: int
    rows: int | None
    unknown: int | None

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> "Limits":
        """Those of a model and its tokenizer."""
        unknown: Any = tokenizer.unk_token_id
        return cls(longest_input(tokenizer, model), embedding_rows(model), unknown)

    def check(self, tokens: Tokens) -> None:
        """Raise AttackError where one of the sentences cannot be given to the model."""
        self.check_length(int(tokens.lengths.max()))
        ids = tokens.inputs["input_ids"]
        if self.rows is not None and int(ids.max()) >= self.rows:
            raise AttackError(
                f"the model's embedding of {self.rows} rows has none for some of the candidates, "
                "which the tokenizer knows: use spaces without them"
            )

    def check_length(self, length: int) -> None:
        """Raise AttackError where a sentence of so many tokens is too long."""
        if length > self.length:
            raise AttackError(
                f"the sentence has {length} tokens and the model takes {self.length}: shorten the "
                "prefix, the suffix or the number of slots"
            )


@dataclass(frozen=True, eq=False)
class Texts:
    """The sentences of a template, and their tokens by the target's tokenizer.

    Args:
        parts: literal text and, for each slot, its options: a sentence is all of them joined.
        tokenizer: gives the tokens.
        taken: what the model takes besides `input_ids`, by name.
        limits: of what the model takes.
    """

    parts: tuple[str | tuple[str, ...], ...]
    tokenizer: PreTrainedTokenizerBase
    taken: frozenset[str]
    limits: "Limits"

    @cached_property
    def options(self) -> tuple[tuple[str, ...], ...]:
        """Of each slot."""
        return tuple(part for part in self.parts if not isinstance(part, str))

    def tokens(self, choices: Tensor) -> Tokens:
        """Tokens of choices (N, n); those of a space of up to `WHOLE` sentences are kept."""
        sizes = [len(options) for options in self.options]
        if np.prod([float(size) for size in sizes]) > WHOLE:
            return self._tokenise(map(self.text, choices.tolist()))
        strides = torch.tensor([int(np.prod(sizes[slot + 1 :])) for slot in range(len(sizes))])
        number = (choices * strides).sum(1)
        every = self.every
        return Tokens(
            every.lengths[number],
            {name: values[number] for name, values in every.inputs.items()},
        )

    @cached_property
    def every(self) -> Tokens:
        """Tokens of the whole space in mixed radix, the last slot fastest."""
        spelled = itertools.product(
            *((part,) if isinstance(part, str) else part for part in self.parts)
        )
        return self._tokenise(map("".join, spelled))

    def shortened(self, choices: Tensor, filled: int) -> Tokens:
        """Tokens of sentences that leave out every slot from number `filled` on."""
        return self._tokenise(" ".join(self.text(row, filled).split()) for row in choices.tolist())

    def text(self, choices: Sequence[int], filled: int | None = None) -> str:
        """Return the sentence of one choice per slot, without slots from number `filled` on."""
        slots = iter(choices[:filled])
        return "".join(
            part if isinstance(part, str) else "".join(part[slot] for slot in islice(slots, 1))
            for part in self.parts
        )

    def _tokenise(self, texts: Iterable[str]) -> Tokens:
        remaining, blocks = iter(texts), []
        while block := list(islice(remaining, BLOCK)):
            encoded: Any = self.tokenizer(block, truncation=False)
            blocks.append(
                {
                    name: encoded[name]
                    for name in encoded
                    if name == "input_ids" or name in self.taken
                }
            )
        names = blocks[0] if blocks else {"input_ids": []}
        tokens = side_by_side({
            name: list(itertools.chain.from_iterable(block[name] for block in blocks))
            for name in names
        })  # fmt: skip
        self.limits.check(tokens)
        return tokens

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return token ids of sentences, special tokens included, of any length."""
        encoded: Any = self.tokenizer(
            texts, truncation=False, return_attention_mask=False, return_token_type_ids=False
        )
        return list(encoded["input_ids"])


def side_by_side(inputs: Mapping[str, Sequence[Sequence[Any]]]) -> Tokens:
    """Pad rows of different lengths with zeros into tensors."""
    lengths = np.array([len(row) for row in inputs["input_ids"]], dtype=np.int64)
    longest = int(lengths.max(initial=0))
    tensors = {}
    for name, rows in inputs.items():
        table: np.ndarray | None = None
        for length in np.unique(lengths):
            at = np.flatnonzero(lengths == length)
            values = np.array(
                [rows[row] for row in at.tolist()], dtype=np.int32
            )  # (M, length, ...)
            if table is None:
                table = np.zeros((len(rows), longest, *values.shape[2:]), dtype=np.int32)
            table[at, :length] = values
        tensors[name] = torch.from_numpy(np.zeros((0, 0), np.int32) if table is None else table)
    return Tokens(torch.from_numpy(lengths), tensors)


def taken_inputs(model: PreTrainedModel) -> frozenset[str]:
    """List what a model's call takes besides `input_ids`."""
    return frozenset(inspect.signature(model.forward).parameters) - {"input_ids"}
