"""Where a secret stands among what could stand in its place, under one checkpoint."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks import AttackError
from attacks.labels import resolve_label
from attacks.objectives import get_objective
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.texts import Limits, Texts, taken_inputs
from canaries.drawing import draw_distinct
from modiva.natural.find import Secret

SAMPLED = 2_000  # others of a space that is too large to score whole
_RECENT = 16  # spaces whose scores are kept


@dataclass(frozen=True)
class Place:
    """Rank of a secret, 1 is the likeliest.

    Args:
        rank: among the candidates that were scored; candidates that tie share their ranks.
        scored: candidates, the secret included.
        size: of the whole space.
        tied: whether all candidates tie, so that the checkpoint cannot tell them apart.
    """

    rank: float
    scored: int
    size: int
    tied: bool

    @property
    def percentile(self) -> float:
        """Share of the space that is as likely or likelier, in (0, 1]."""
        return self.rank / self.scored


class Judge:
    """One checkpoint that ranks secrets by the loss of the label that their sentence has.

    Args:
        model: in evaluation mode.
        tokenizer: of the model.
        whole: spaces of up to so many candidates are scored whole; of a larger one the secret and
            `SAMPLED` others (`whole` if that is fewer), drawn by `seed` and the sentence.
        seed: of the draws.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, whole: int, seed: int
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.whole, self.seed = whole, seed
        self.limits = Limits.of(tokenizer, model)
        self.taken = taken_inputs(model)
        # Many sentences differ by nothing but their secret.
        self._recent: dict[tuple[Any, str], _Scored | None] = {}

    def place(self, secret: Secret, label: str) -> Place | None:
        """Rank a secret; None where the checkpoint does not take sentences as long as these.

        Raises:
            AttackError: the model fails, or gives other logits every time.
        """
        number = 0
        for choice, size in zip(secret.choices, secret.sizes, strict=True):
            number = number * size + choice
        if secret.size > self.whole:
            # What is around a secret decides the draws, for every checkpoint alike.
            asked = hashlib.sha256(repr((self.seed, secret.parts)).encode()).digest()
            rng = np.random.default_rng(list(asked))
            others = draw_distinct(rng, secret.size, min(SAMPLED, self.whole - 1), {number})
            scored = self._score(secret, label, [number, *others])
            return None if scored is None else scored.place(0, secret.size)
        key = secret.parts, label
        if key not in self._recent:
            self._recent[key] = self._score(secret, label, range(secret.size))
            if len(self._recent) > _RECENT:
                del self._recent[next(iter(self._recent))]
        whole = self._recent[key]
        return None if whole is None else whole.place(number, secret.size)

    def _score(self, secret: Secret, label: str, numbers: Sequence[int]) -> "_Scored | None":
        """Score candidates by their numbers, the last slot fastest."""
        texts = Texts(secret.parts, self.tokenizer, self.taken, self.limits)
        choices = torch.tensor([_choices(number, secret.sizes) for number in numbers])  # (N, n)
        try:
            tokens = texts.tokens(choices)
        except AttackError:  # too long, or tokens without a vector
            return None
        ids = tokens.inputs["input_ids"]  # (N, T)
        problem = Completion(
            name=secret.kind,
            parts=secret.parts,
            input_ids=ids[0, : int(tokens.lengths[0])].long(),
            positions=(),
            candidates=(),
            options=texts.options,
            label=resolve_label(self.model, label),
            texts=texts,
        )
        # The loss is monotone in the margin, which does not round a sure model's candidates to 0.
        with Oracle(self.model, [problem], get_objective("margin")) as oracle:
            scores = oracle.evaluate(torch.zeros(len(choices), dtype=torch.long), choices)
        return _Scored(scores.numpy(), np.column_stack([ids.numpy(), tokens.lengths.numpy()]))


@dataclass(frozen=True, eq=False)
class _Scored:
    """Candidates with their scores (N,) and tokens (N, T + 1), the number of tokens last."""

    scores: np.ndarray
    tokens: np.ndarray

    def place(self, own: int, size: int) -> Place:
        # The same tokens in another row of a batch may score otherwise by rounding.
        same = (self.tokens == self.tokens[own]).all(1)
        scores = np.where(same, self.scores[own], self.scores)
        return place_of(scores, own, size)


def place_of(scores: np.ndarray, own: int, size: int) -> Place:
    """Rank one of the scores (N,), lower is likelier; what is no number is the unlikeliest.

    Args:
        scores: of the candidates.
        own: which of them is the secret.
        size: of the space that they are from.
    """
    scores = np.nan_to_num(scores.astype(np.float64), nan=math.inf, posinf=math.inf)
    better = int((scores < scores[own]).sum())
    ties = int((scores == scores[own]).sum()) - 1
    return Place(1 + better + ties / 2, len(scores), size, ties == len(scores) - 1)


def _choices(number: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    found = []
    for size in reversed(sizes):
        number, choice = divmod(number, size)
        found.append(choice)
    return tuple(reversed(found))
