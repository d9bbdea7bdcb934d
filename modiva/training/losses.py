"""Losses of a batch, one per sentence, in chunks that fit memory and waste little on padding.

Chunks of a Poisson batch add up to the same clipped sum however it is cut, so it is cut where that
is fastest: sentences of like length together, as long as a chunk is worth its own forward pass.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modiva.classifiers import SentenceClassifier
from modiva.training.batches import EncodedSplit

# Activations kept for one chunk of a logical batch, in tokens times hidden size.
CHUNK_FLOATS = 1 << 20
FEWEST_TOKENS = 256
# What the operations of one more chunk cost beside its tokens, in the same unit: measured, CPU.
CHUNK_COST = 24_000


class ChunkedLosses:
    """Runs one model over parts of one split; a chunk's forward pass runs when it is needed.

    A frozen encoder runs once over the split, and only the head in every step.

    Args:
        tokens: padded tokens of a chunk, at least one sentence's; None chooses by the model's
            hidden size.
    """

    def __init__(self, model: nn.Module, split: EncodedSplit, tokens: int | None = None) -> None:
        self.model, self.split = model, split
        default, self.cost = chunk_sizes(model)
        self.tokens = tokens or default
        self.vectors = frozen_vectors(model, split)

    def __call__(self, indices: Tensor) -> Iterator[Tensor]:
        """Yield the cross-entropies (b,) of chunk after chunk of the sentences at `indices`."""
        if self.vectors is not None and len(indices):
            where = indices.to(self.vectors.device)
            logits = self.model(vectors=self.vectors[where]).logits  # (B, C)
            yield F.cross_entropy(logits, self.split.labels[where], reduction="none")
            return
        for chunk in chunks_by_length(self.split.lengths, indices, self.tokens, self.cost):
            ids, mask, labels = self.split.take(chunk)
            logits = self.model(input_ids=ids, attention_mask=mask).logits  # (b, C)
            yield F.cross_entropy(logits, labels, reduction="none")


def chunk_sizes(model: nn.Module) -> tuple[int, int]:
    """Return the padded tokens of a chunk at most, and what a further chunk costs in them."""
    width = getattr(getattr(model, "config", None), "hidden_size", 128)
    return max(CHUNK_FLOATS // width, FEWEST_TOKENS), CHUNK_COST // width


@torch.no_grad()
def frozen_vectors(model: nn.Module, split: EncodedSplit) -> Tensor | None:
    """Encode every sentence of a split, (N, H), where the encoder is frozen; else None."""
    if not isinstance(model, SentenceClassifier):
        return None
    found = torch.zeros(len(split), model.config.hidden_size, device=split.ids.device)
    for chunk in chunks_by_length(split.lengths, torch.arange(len(split)), *chunk_sizes(model)):
        ids, mask, _ = split.take(chunk)
        vectors = model.sentence_vectors(input_ids=ids, attention_mask=mask)
        found[chunk.to(found.device)] = vectors
    return found


def chunks_by_length(lengths: Tensor, indices: Tensor, tokens: int, cost: int) -> list[Tensor]:
    """Cut `indices` into chunks of like length, at the least padded tokens + `cost` a chunk.

    Args:
        lengths: (N,) tokens of each sentence.
        indices: (n,) the sentences of the batch.
        tokens: padded tokens of a chunk at most, unless it is a single sentence.
        cost: what a further chunk costs, in padded tokens.
    """
    ranked = indices[torch.argsort(lengths[indices], stable=True)]
    found, counts = lengths[ranked].unique_consecutive(return_counts=True)
    ends = [0, *counts.cumsum(0).tolist()]
    sizes = [max(length, 1) for length in found.tolist()]
    # least[j] is the least cost of the sentences of the j smallest lengths, cut[j] how it is got.
    least, cut = [0.0], [0]
    for j, length in enumerate(sizes, start=1):
        costs = [least[i] + (ends[j] - ends[i]) * length + cost for i in range(j)]
        cut.append(min(range(j), key=costs.__getitem__))
        least.append(costs[cut[j]])
    chunks: list[Tensor] = []
    j = len(sizes)
    while j:
        part = ranked[ends[cut[j]] : ends[j]]
        chunks += reversed(part.split(max(tokens // sizes[j - 1], 1)))
        j = cut[j]
    return chunks[::-1]
