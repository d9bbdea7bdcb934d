"""The input vectors of tokens: all that an attack needs to know about a model's embeddings."""

import torch
from torch import Tensor
from transformers import PreTrainedModel


def input_vectors(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return the vectors that `model` takes as `inputs_embeds` for token ids.

    Args:
        model: a classifier; its own `input_vectors(ids)` is used where it has one (character
            features enter there), else its input embedding table.
        ids: token ids, any shape (...).

    Returns:
        Vectors (..., D) on the model's device, without a gradient.
    """
    own = getattr(model, "input_vectors", None)
    with torch.no_grad():
        ids = ids.to(model.device)
        if own is not None:
            return own(ids)
        found = model.get_input_embeddings()(ids)
        return found[0] if isinstance(found, tuple) else found  # quantised tables give a scale too


def vocabulary_vectors(model: PreTrainedModel) -> Tensor:
    """Return the vectors (vocabulary, D) of every token, float32."""
    table = model.get_input_embeddings().weight
    assert isinstance(table, Tensor)
    return input_vectors(model, torch.arange(len(table))).float()
