"""Splits that a corpus does not bring: held out from train, each intent in proportion."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from modiva.errors import ModivaError

P = TypeVar("P", bound=tuple[str, str])

SPLITS = ("train", "valid", "test")
# Share of the training sentences that a missing split takes.
HELD_OUT: Mapping[str, float] = {"test": 0.15, "valid": 0.10}
_GOLDEN = 0.6180339887498949


def stratified_places(labels: Sequence[str], rng: np.random.Generator) -> list[float]:
    """Give every item a place in [0, 1) so that any interval of it holds its share of each label.

    Items are shuffled, sorted by label and dealt along a golden-ratio sequence, whose points
    cover intervals evenly.

    Args:
        labels: (N,) label of each item.
        rng: source of the order and of the start.
    """
    order = rng.permutation(len(labels)).tolist()
    order.sort(key=lambda i: labels[i])
    start = float(rng.random())
    places = [0.0] * len(labels)
    for step, index in enumerate(order):
        places[index] = (start + step * _GOLDEN) % 1.0
    return places


def complete(splits: Mapping[str, Sequence[P]], *, seed: int, name: str) -> dict[str, Sequence[P]]:
    """Return train, valid and test; those missing from `splits` are held out from train by `seed`.

    Equal sentences stay in one split, so that none of train is met again in the new splits; an
    intent that would leave train keeps its first sentence there.

    Args:
        splits: (text, intent) pairs by split; "train" must be there, texts normalised.
        seed: the same seed holds out the same sentences.
        name: what the corpus is called in an error.

    Raises:
        ModivaError: too few sentences to hold any out.
    """
    missing = [split for split in ("test", "valid") if split not in splits]
    if not missing:
        return dict(splits)
    train = splits["train"]
    label_of: dict[str, str] = {}
    for text, intent in train:
        label_of.setdefault(text, intent)
    rng = np.random.default_rng([seed, 4])
    places = stratified_places(list(label_of.values()), rng)
    home: dict[str, str] = {}
    for text, place in zip(label_of, places, strict=True):
        edge = 0.0
        home[text] = "train"
        for split in missing:
            if edge <= place < edge + HELD_OUT[split]:
                home[text] = split
            edge += HELD_OUT[split]
    kept = {label_of[text] for text, split in home.items() if split == "train"}
    for text, split in home.items():
        if split != "train" and label_of[text] not in kept:
            home[text] = "train"
            kept.add(label_of[text])
    made = {split: [pair for pair in train if home[pair[0]] == split] for split in SPLITS}
    empty = [split for split in missing if not made[split]]
    if empty:
        raise ModivaError(
            f"{name} has {len(label_of)} distinct sentences, too few to hold out "
            f"{' and '.join(empty)}: give 20 or more, or a folder with train, valid and test files"
        )
    return {**{split: made[split] for split in ("train", *missing)}, **_given(splits)}


def _given(splits: Mapping[str, Sequence[P]]) -> dict[str, Sequence[P]]:
    """Return the held-out splits that the corpus brought itself."""
    return {split: pairs for split, pairs in splits.items() if split != "train"}
