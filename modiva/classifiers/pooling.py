"""Convolution and maximum over time as one operation, for models that are stacked.

The maximum has a gradient at one time of each filter only, and padding has none, so that what
autograd would save, copy and mask step by step can be left out: half of the time of such a layer.
"""

from typing import Any

import torch
from torch import Tensor

from modiva.classifiers.windows import shifted_windows


def filtered_maximum(vectors: Tensor, padding: Tensor, weight: Tensor) -> Tensor:
    """Return the largest response of each filter over the words of a sentence.

    Args:
        vectors: (..., B, T, D), zero at padding.
        padding: (..., B, T, 1) bool, True where there is no word.
        weight: (..., F, width * D) filters over windows of `width` vectors.

    Returns:
        (..., B, F); the lowest finite number where a sentence has no word. Filters whose response
        is equal at several times share the gradient among these, as `torch.amax` does.
    """
    # torch gives `Function.apply` no types.
    found = _FilteredMaximum.apply(vectors, padding, weight)  # type: ignore[no-untyped-call]
    maximum: Tensor = found[0]
    return maximum


class _FilteredMaximum(torch.autograd.Function):
    @staticmethod
    def forward(vectors: Tensor, padding: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        width = weight.shape[-1] // vectors.shape[-1]
        windows = shifted_windows(vectors, width).flatten(-3, -2)  # (..., B * T, width * D)
        responses = (windows @ weight.mT).view(*vectors.shape[:-1], -1)  # (..., B, T, F)
        responses.masked_fill_(padding, torch.finfo(responses.dtype).min)
        return responses.amax(-2), windows, responses

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        vectors, _, weight = inputs
        maximum, windows, responses = output
        ctx.mark_non_differentiable(windows, responses)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, maximum, windows, responses)
        ctx.size = vectors.shape[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        weight, maximum, windows, responses = ctx.saved_tensors
        reached = responses == maximum.unsqueeze(-2)  # (..., B, T, F)
        share = gradients[0] / reached.sum(-2)  # (..., B, F)
        slope = (reached * share.unsqueeze(-2)).flatten(-3, -2)  # (..., B * T, F)
        parts = (slope @ weight).view(*responses.shape[:-1], -1, ctx.size)  # (..., B, T, width, D)
        return _fold(parts), None, slope.mT @ windows

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, ...], *inputs: Tensor) -> tuple[Any, tuple[int, ...]]:
        stacked = [value.movedim(dim, 0) for value, dim in zip(inputs, in_dims, strict=True)]
        return _FilteredMaximum.apply(*stacked), (0, 0, 0)  # type: ignore[no-untyped-call]


def _fold(parts: Tensor) -> Tensor:
    """Add up windows (..., T, width, D) by the vectors they hold: (..., T, D)."""
    length, width = parts.shape[-3], parts.shape[-2]
    left = (width - 1) // 2
    total = parts[..., left, :].clone()
    for place in range(width):
        shift = place - left  # window t holds vector t + shift here
        if 0 < shift < length:
            total[..., shift:, :] += parts[..., : length - shift, place, :]
        elif -length < shift < 0:
            total[..., :shift, :] += parts[..., -shift:, place, :]
    return total
