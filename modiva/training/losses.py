"""Losses of a logical batch, one a sentence, in chunks that fit memory."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from modiva.training.batches import EncodedSplit, chunks_of_tokens

# Activations kept for one chunk of a logical batch, in tokens times hidden size.
CHUNK_FLOATS = 1 << 20
FEWEST_TOKENS = 256


class ChunkedLosses:
    """Runs one model over parts of one split; a chunk's forward pass is run when it is asked for.

    Args:
        tokens: padded tokens of a chunk, at least one sentence's; None chooses by the model's
            hidden size.
    """

    def __init__(self, model: nn.Module, split: EncodedSplit, tokens: int | None = None) -> None:
        self.model, self.split = model, split
        width = getattr(getattr(model, "config", None), "hidden_size", 128)
        self.tokens = tokens or max(CHUNK_FLOATS // width, FEWEST_TOKENS)

    def __call__(self, indices: Tensor) -> Iterator[Tensor]:
        """Yield the cross-entropies (b,) of chunk after chunk of the sentences at `indices`."""
        for chunk in chunks_of_tokens(self.split.lengths, indices, self.tokens):
            ids, mask, labels = self.split.take(chunk)
            logits = self.model(input_ids=ids, attention_mask=mask).logits  # (b, C)
            yield F.cross_entropy(logits, labels, reduction="none")
