"""The input vectors of tokens: all that an attack needs to know about a model's embeddings."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.errors import AttackError


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


def check_precision(model: PreTrainedModel) -> None:
    """Refuse a model whose scores would be rounded to less than float32.

    In bfloat16 10,000 candidates share fewer than 1,000 scores, and their order is another.

    Raises:
        AttackError: a weight is of half precision or quantised.
    """
    for name, weight in model.named_parameters():
        if weight.dtype not in (torch.float32, torch.float64):
            kind = str(weight.dtype).removeprefix("torch.")
            raise AttackError(
                f"the model holds {kind} weights ({name}), in which candidates tie: call "
                "model.float() first, or load it with dtype=torch.float32"
            )


def vocabulary_vectors(model: PreTrainedModel) -> Tensor:
    """Return the vectors (vocabulary, D) of every token, float32."""
    table = model.get_input_embeddings().weight
    assert isinstance(table, Tensor)
    return input_vectors(model, torch.arange(len(table))).float()
