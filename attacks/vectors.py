"""The input vectors of tokens: all that an attack needs to know about a model's embeddings."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from attacks.errors import AttackError


def input_table(model: PreTrainedModel) -> nn.Module | None:
    """Return the table of token vectors; None where a model has none, such as one of characters."""
    try:
        table: object = model.get_input_embeddings()
    except NotImplementedError:
        return None
    return table if isinstance(table, nn.Module) else None


def input_vectors(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return the vectors that `model` takes as `inputs_embeds` for token ids.

    Args:
        model: a classifier; its own `input_vectors(ids)` is used where it has one (character
            features enter there), else its input embedding table.
        ids: token ids, any shape (...).

    Returns:
        Vectors (..., D) on the model's device, without a gradient.

    Raises:
        AttackError: the model has neither.
    """
    own = getattr(model, "input_vectors", None)
    table = own or input_table(model)
    if table is None:
        raise AttackError(f"{type(model).__name__} has no table of token vectors, which this "
                          "attack needs: use exhaustive, coordinate or random")  # fmt: skip
    with torch.no_grad():
        found = table(ids.to(model.device))
    # Quantised tables give a scale too.
    vectors: Tensor = found[0] if isinstance(found, tuple) else found
    return vectors


def check_precision(model: PreTrainedModel) -> None:
    """Refuse a model whose scores would be rounded to less than float32.

    In bfloat16 10,000 candidates share fewer than 1,000 scores, and their order is another.

    Raises:
        AttackError: a weight is of half precision or quantised, or autocast is on.
    """
    if torch.is_autocast_enabled(model.device.type):
        raise AttackError("torch.autocast rounds scores, so that candidates tie: attack outside it")
    for name, weight in model.named_parameters():
        if weight.dtype not in (torch.float32, torch.float64):
            kind = str(weight.dtype).removeprefix("torch.")
            raise AttackError(
                f"the model holds {kind} weights ({name}), in which candidates tie: call "
                "model.float() first, or load it with dtype=torch.float32"
            )


def vocabulary_vectors(model: PreTrainedModel) -> Tensor:
    """Return the vectors (vocabulary, D) of every token, float32."""
    table = input_table(model)
    rows = len(table.weight) if table is not None else 0  # type: ignore[arg-type]
    return input_vectors(model, torch.arange(rows)).float()
