"""Loss and accuracy of a classifier on a split."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modiva.training.batches import EncodedSplit, chunks_of_tokens

TOKENS_A_CHUNK = 8192


class Evaluation(NamedTuple):
    """Mean cross-entropy and accuracy, None on an empty split."""

    loss: float | None
    accuracy: float | None


@torch.no_grad()
def evaluate(model: nn.Module, split: EncodedSplit, vectors: Tensor | None = None) -> Evaluation:
    """Evaluate in evaluation mode; the model's mode afterwards is what it was before.

    Args:
        vectors: (N, H), the split's sentence vectors where the encoder is frozen and they are known
            already.
    """
    if not len(split):
        return Evaluation(None, None)
    was_training = model.training
    model.eval()
    loss, hits = 0.0, 0
    for indices in chunks_of_tokens(split.lengths, torch.arange(len(split)), TOKENS_A_CHUNK):
        if vectors is None:
            ids, mask, labels = split.take(indices)
            logits = model(input_ids=ids, attention_mask=mask).logits.float()  # (B, C)
        else:
            where = indices.to(vectors.device)
            logits, labels = model(vectors=vectors[where]).logits.float(), split.labels[where]
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        hits += int((logits.argmax(-1) == labels).sum())
    model.train(was_training)
    return Evaluation(loss / len(split), hits / len(split))
