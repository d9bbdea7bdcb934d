"""The data that everything else works on: sentences with intents, in three splits."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from modiva.corpora.splits import SPLITS
from modiva.errors import ModivaError

NOTHING: Mapping[str, str] = {}


class Labelled(NamedTuple):
    """One sentence and its intent."""

    text: str
    intent: str


class Example(Labelled):
    """One sentence and its intent, a pair, and what further columns say of it.

    Args:
        text: as the file has it; in a `Corpus` normalised.
        intent: its name.
        beside: values by the names of the columns that were asked for; they travel with the pair
            through splits, draws and planting, and do not count in comparisons.
    """

    beside: Mapping[str, str]

    def __new__(cls, text: str, intent: str, beside: Mapping[str, str] = NOTHING) -> "Example":
        """Make a pair with values beside it."""
        made = super().__new__(cls, text, intent)
        made.beside = beside
        return made


@dataclass(frozen=True)
class Corpus:
    """Sentences with intents, split into train, valid and test, and where they come from.

    Args:
        name: short name, as tables and figures show it.
        train: training examples; texts are normalised (`normalise`), in all three splits.
        valid: examples that choose settings and stop training.
        test: examples that only measure.
        source: address or path of the data.
        licence: licence of the data, or "unknown".
        note: what a reader of results must know about the data.
    """

    name: str
    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    test: tuple[Example, ...]
    source: str = ""
    licence: str = "unknown"
    note: str = ""

    @property
    def splits(self) -> dict[str, tuple[Example, ...]]:
        """The three splits by their names, in order."""
        return {name: getattr(self, name) for name in SPLITS}

    @cached_property
    def intents(self) -> tuple[str, ...]:
        """The intents of all three splits, sorted."""
        return tuple(sorted({e.intent for split in self.splits.values() for e in split}))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the three splits in order; nothing else counts."""
        digest = hashlib.sha256()
        for split in self.splits.values():
            # Lengths first, so that no two different corpora give the same bytes.
            digest.update(f"{len(split)}\n".encode())
            for text, intent in split:
                for part in (text.encode(), intent.encode()):
                    digest.update(f"{len(part)}:".encode() + part)
        return digest.hexdigest()

    def vocabulary(self, min_count: int = 1) -> tuple[str, ...]:
        """Return words of the training split, most frequent first, ties in alphabetical order.

        Args:
            min_count: leave out words that occur fewer times than this.
        """
        counts = Counter(word for text, _ in self.train for word in text.split())
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(word for word, count in ranked if count >= min_count)

    def subset(self, train: int, *, seed: int) -> "Corpus":
        """Return this corpus with `train` randomly drawn training examples, in their old order.

        Every intent of valid and test that the training split holds keeps at least one example;
        the rest is drawn uniformly without replacement. Valid and test stay as they are.

        Args:
            train: number of training examples to keep.
            seed: the same seed gives the same subset.

        Raises:
            ModivaError: `train` is larger than the training split or too small for the intents.
        """
        if train > len(self.train):
            raise ModivaError(
                f"{train} training sentences asked for, but {self.name} has {len(self.train)}: "
                f"ask for {len(self.train)} or fewer"
            )
        rng = np.random.default_rng([seed, 1])
        order = rng.permutation(len(self.train))  # (N,)
        wanted = {e.intent for e in (*self.valid, *self.test)}
        kept: list[int] = []
        for index in order.tolist():
            if self.train[index].intent in wanted:
                wanted.remove(self.train[index].intent)
                kept.append(index)
        if train < max(len(kept), 1):
            raise ModivaError(
                f"{train} training sentences cannot hold the {len(kept)} intents of {self.name}: "
                f"ask for {max(len(kept), 1)} or more"
            )
        first = set(kept)
        kept += [i for i in order.tolist() if i not in first][: train - len(kept)]
        return replace(self, train=tuple(self.train[i] for i in sorted(kept)))
