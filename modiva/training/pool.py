"""Pools for membership inference: models of the same records, each in by the toss of a coin.

The coins of all sentences and canaries are independent: audits of one run rest on that, and neither
exact halves nor complementary ones are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from canaries import Canary, Ledger, Planting, plant
from canaries.planting import Planted
from modiva.condition import Condition
from modiva.corpora import Corpus

Example = tuple[str, str]  # text, intent


@dataclass(frozen=True)
class Records:
    """All that a pool's models may hold, canaries planted.

    Args:
        planted: the sentences and canaries of all models, and the ledger.
    """

    planted: Planted

    @classmethod
    def of(cls, condition: Condition, corpus: Corpus, plantings: Sequence[Planting]) -> "Records":
        """Draw the sentences of a pool, each once, and plant its canaries among them."""
        distinct = {
            example.text: example for example in reversed(corpus.train)
        }  # the first of each
        corpus = replace(corpus, train=tuple(distinct.values())[::-1])
        if 0 < condition.sentences < len(corpus.train):
            corpus = corpus.subset(condition.sentences, seed=condition.half_seed)
        return cls(plant(
            corpus.train, corpus.valid, plantings, seed=condition.half_seed,
            share_valid=condition.share_valid,
        ))  # fmt: skip

    @property
    def canaries(self) -> tuple[Canary, ...]:
        """The canaries, whichever model holds them."""
        return self.planted.ledger.canaries

    @cached_property
    def sentences(self) -> tuple[Example, ...]:
        """The sentences of the corpus, in order."""
        planted = {canary.text for canary in self.canaries}
        return tuple(example for example in self.planted.train if example[0] not in planted)

    @cached_property
    def controls(self) -> tuple[Example, ...]:
        """Sentences like canaries that no model holds, one per control."""
        return tuple(
            (canary.form.fill(secret), canary.label)
            for canary in self.canaries
            for secret in canary.controls
        )

    @property
    def all(self) -> tuple[Example, ...]:
        """Sentences, canaries and controls, in this order, (n,)."""
        canaries = ((canary.text, canary.label) for canary in self.canaries)
        return (*self.sentences, *canaries, *self.controls)

    def coins(self, seed: int) -> NDArray[np.bool_]:
        """Toss a coin (n,) per record for the model of a seed; a control's decides nothing."""
        return np.random.default_rng([seed, 3]).random(len(self.all)) < 0.5

    def held(self, seed: int) -> Planted:
        """Return what the model of a seed holds; a canary that it does not hold is said 0 times."""
        coins = dict(zip((text for text, _ in self.all), self.coins(seed).tolist(), strict=True))
        canaries = tuple(
            canary if coins[canary.text] else replace(canary, repetitions=0, valid_repetitions=0)
            for canary in self.canaries
        )
        own = {canary.text for canary in self.canaries if not coins[canary.text]}
        return Planted(
            tuple(example for example in self.planted.train if coins[example[0]]),
            tuple(example for example in self.planted.valid if example[0] not in own),
            Ledger(canaries, seed),
        )
