"""Sentences as tensors, encoded once, and batches of sentences of like length."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attacks.vocabulary import embedding_rows
from modiva.errors import ModivaError
from modiva.training.config import Splits

if TYPE_CHECKING:
    from modiva.classifiers import Classifier

# Lengths are jittered by up to this share before they are sorted: without it, equal sentences
# (a canary repeated 100 times) would fill whole batches.
LENGTH_JITTER = 0.15


@dataclass(frozen=True)
class EncodedSplit:
    """One split as tensors: ids (N, T) right-padded, lengths (N,), labels (N,)."""

    ids: Tensor
    lengths: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "EncodedSplit":
        """Return the same split on `device`; lengths stay on the CPU, where batches are planned."""
        return EncodedSplit(self.ids.to(device), self.lengths, self.labels.to(device))

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ids (B, T), mask (B, T) and labels (B,) of a batch; T is the longest sentence."""
        lengths = self.lengths[indices]  # (B,)
        longest = max(int(lengths.max()), 1)
        mask = torch.arange(longest) < lengths[:, None]  # (B, T)
        where = indices.to(self.ids.device)
        ids = self.ids[where, :longest]  # (B, T)
        return ids, mask.to(ids.device, torch.long), self.labels[where]


@dataclass(frozen=True)
class EncodedSplits:
    """The three splits of a corpus as one classifier reads them."""

    train: EncodedSplit
    valid: EncodedSplit
    test: EncodedSplit
    majority_accuracy: float | None

    def to(self, device: torch.device) -> "EncodedSplits":
        """Return the same splits on `device`."""
        train, valid, test = (split.to(device) for split in (self.train, self.valid, self.test))
        return EncodedSplits(train, valid, test, self.majority_accuracy)


def encode_splits(classifier: "Classifier", data: Splits) -> EncodedSplits:
    """Encode every sentence of `data` once, with the classifier's tokenizer and label names.

    Raises:
        ModivaError: no training sentences, an intent that the classifier does not have, or a word
            for which its embedding has no row.
    """
    if not data.train:
        raise ModivaError("the training split is empty: nothing to train on; give sentences")
    train, valid, test = (encode_split(classifier, split) for split in data)
    return EncodedSplits(train, valid, test, majority_accuracy(data.train, data.test))


def encode_split(classifier: "Classifier", examples: Sequence[tuple[str, str]]) -> EncodedSplit:
    """Encode (text, intent) pairs; see `encode_splits`."""
    label2id = {str(k): int(v) for k, v in (classifier.model.config.label2id or {}).items()}
    unknown = sorted({intent for _, intent in examples} - set(label2id))
    if unknown:
        raise ModivaError(
            f"intent {unknown[0]!r} is not one of the classifier's {len(label2id)}: build it with "
            "every intent of the data, canaries included"
        )
    sentences = classifier.encode([text for text, _ in examples]) if examples else []
    lengths = torch.tensor([len(ids) for ids in sentences], dtype=torch.long)  # (N,)
    pad = classifier.tokenizer.pad_token_id or 0
    ids = torch.full((len(sentences), max(lengths.tolist(), default=0)), pad)  # (N, T)
    ids[torch.arange(ids.shape[1]) < lengths[:, None]] = torch.tensor(
        list(chain.from_iterable(sentences)), dtype=torch.long
    )
    rows = embedding_rows(classifier.model)
    if rows is not None and ids.numel() and int(ids.max()) >= rows:
        word = classifier.tokenizer.convert_ids_to_tokens(int(ids.max()))
        raise ModivaError(
            f"the model's embedding of {rows} rows has none for {word!r}, which its tokenizer "
            "has: resize the embedding (model.resize_token_embeddings) and save it again"
        )
    labels = torch.tensor([label2id[intent] for _, intent in examples], dtype=torch.long)
    return EncodedSplit(ids, lengths, labels)


def majority_accuracy(
    train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]
) -> float | None:
    """Return the accuracy of always naming `train`'s commonest intent; None if `test` is empty."""
    if not test:
        return None
    counts = Counter(intent for _, intent in train)
    majority = max(sorted(counts), key=counts.__getitem__)
    return sum(intent == majority for _, intent in test) / len(test)


def length_batches(
    lengths: Tensor, batch_size: int, generator: torch.Generator, order: torch.Generator
) -> list[Tensor]:
    """Draw one epoch: every index once, in ceil(N / batch_size) near-equal batches of like length.

    Args:
        lengths: (N,) tokens of each sentence.
        generator: which sentences of like length share a batch.
        order: in what order the short and the long batches come.
    """
    n = len(lengths)
    jitter = 1 + LENGTH_JITTER * (2 * torch.rand(n, generator=generator) - 1)
    ranked = torch.argsort(lengths * jitter)  # (N,) short sentences first
    batches = ranked.tensor_split(-(-n // batch_size))
    return [batches[i] for i in torch.randperm(len(batches), generator=order).tolist()]


def chunks_of_tokens(lengths: Tensor, indices: Tensor, tokens: int) -> list[Tensor]:
    """Cut `indices` into parts of at most `tokens` padded tokens, at least one sentence each."""
    ranked = indices[torch.argsort(lengths[indices], stable=True)]
    parts: list[Tensor] = []
    start = 0
    for end, length in enumerate(lengths[ranked].tolist()):
        if end > start and (end + 1 - start) * length > tokens:
            parts.append(ranked[start:end])
            start = end
    return [*parts, ranked[start:]] if len(ranked) else []
