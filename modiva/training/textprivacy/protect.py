"""Rewrite what was planted, each copy on its own, and keep the ledger of the originals."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from canaries import Canary, Ledger
from canaries.planting import Planted
from modiva.training.seeds import stream_seed
from modiva.training.textprivacy.mechanism import Mechanism

Example = tuple[str, str]  # text, intent


@dataclass(frozen=True)
class Protected:
    """Rewritten sentences in place of planted ones.

    Args:
        planted: rewritten training and validation split; its ledger has the original secrets, and
            the rewritten copies of each canary.
        words_kept: share of the words of the training split that stand as they were.
    """

    planted: Planted
    words_kept: float


def protect(
    planted: Sequence[Planted], mechanism: Mechanism, seeds: Sequence[int]
) -> list[Protected]:
    """Rewrite the training and the validation split of several targets, labels kept.

    Args:
        planted: with canaries among the sentences.
        mechanism: draws every sentence on its own, copies of one sentence too.
        seeds: of the noise of each, which is none for those who know it.
    """
    splits = [split for one in planted for split in (one.train, one.valid)]
    streams = [
        stream_seed(seed, stream) for seed in seeds for stream in ("text train", "text valid")
    ]
    texts = mechanism.rewrite_all([[text for text, _ in split] for split in splits], streams)
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return [_protected(one, *pair) for one, pair in zip(planted, pairs, strict=True)]


def _protected(planted: Planted, train_texts: list[str], valid_texts: list[str]) -> Protected:
    train, valid = _labelled(train_texts, planted.train), _labelled(valid_texts, planted.valid)
    pairs = [*zip(planted.train, train, strict=True), *zip(planted.valid, valid, strict=True)]
    copies: dict[str, list[str]] = {canary.text: [] for canary in planted.ledger.canaries}
    for (before, _), (after, _) in pairs:
        if before in copies:
            copies[before].append(after)
    canaries = tuple(_with_copies(canary, copies) for canary in planted.ledger.canaries)
    kept = Mechanism.words_kept([text for text, _ in planted.train], train_texts)
    return Protected(Planted(train, valid, Ledger(canaries, planted.ledger.seed)), kept)


def _labelled(texts: Sequence[str], examples: Sequence[Example]) -> tuple[Example, ...]:
    return tuple((text, intent) for text, (_, intent) in zip(texts, examples, strict=True))


def _with_copies(canary: Canary, copies: dict[str, list[str]]) -> Canary:
    return dataclasses.replace(canary, rewritten=tuple(copies[canary.text]))
