"""The rule of `nn.Linear`, over vectors or over any number of time-like dimensions."""

import torch
from torch import Tensor, nn

from modiva.classifiers import stacked
from modiva.privacy.rules.registry import (
    BLOCK,
    Call,
    Contribution,
    Rule,
    models_of,
    register_rule,
    squared_sum,
)


def contribute_over_time(call: Call, inputs: Tensor, gradients: Tensor) -> Contribution:
    """Clip a weight (out, in), and a bias if trained, that is applied at every time step.

    A stacked layer has them for M models, and an M-th of the B examples for each.

    Args:
        call: its `trainable` names "weight" and "bias".
        inputs: (B, T, in), the layer's inputs A.
        gradients: (B, T, out), of its outputs: G. Example i's gradient is G_i^T A_i.

    Source: Bu et al. 2022 (arXiv 2210.00038), ghost norms and book-keeping; Li et al. 2021.
    """
    weight, bias = call.trainable.get("weight"), call.trainable.get("bias")
    size_in, size_out, length = inputs.shape[2], gradients.shape[2], inputs.shape[1]
    squares = gradients.new_zeros(len(gradients))
    if weight is None:
        squares = squared_sum(gradients.sum(1))
    elif length == 1:
        scale = call.shared(inputs, "squares", lambda: squared_sum(inputs))
        squares = squared_sum(gradients) * (scale + 1 if bias is not None else scale)
    elif 2 * length**2 < size_in * size_out:
        # |G^T A|^2 = <A A^T, G G^T>, and the bias adds |G^T 1|^2 = <1, G G^T>.
        gram = call.shared(inputs, "gram", lambda: inputs @ inputs.mT)  # (B, T, T)
        pairs = call.shared(gradients, "gram", lambda: gradients @ gradients.mT)  # (B, T, T)
        squares = (pairs * (gram + 1 if bias is not None else gram)).sum((1, 2))
    else:
        rows = max(1, BLOCK // (size_in * size_out))
        blocks = zip(gradients.split(rows), inputs.split(rows), strict=True)
        squares = torch.cat([squared_sum(g.mT @ a) for g, a in blocks])
        if bias is not None:
            squares = squares + squared_sum(gradients.sum(1))

    def add(weights: Tensor) -> None:
        _add_weighted(weight, bias, inputs, gradients, weights, models_of(call.module))

    return Contribution(squares, add)


def _add_weighted(
    weight: nn.Parameter | None,
    bias: nn.Parameter | None,
    inputs: Tensor,
    gradients: Tensor,
    weights: Tensor,
    models: int,
) -> None:
    """Add (cG)^T A and (cG)^T 1, a block of examples at a time, so that cG stays in the cache."""
    size_in, size_out, length = inputs.shape[2], gradients.shape[2], inputs.shape[1]
    for parameter in (weight, bias):
        if parameter is not None and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    rows = max(1, BLOCK // (models * length * min(size_in, size_out) + 1))
    parts = [value.unflatten(0, (models, -1)) for value in (gradients, inputs, weights)]
    for g, a, c in zip(*(part.split(rows, 1) for part in parts), strict=True):
        factor = c[..., None, None]  # (M, b, 1, 1)
        if bias is not None and bias.grad is not None:
            # A row times a matrix: ten times faster here than the matrix times a column.
            row = factor.expand(-1, -1, length, 1).reshape(models, 1, -1)
            bias.grad.view(models, 1, size_out).baddbmm_(row, g.reshape(models, -1, size_out))
        if weight is not None and weight.grad is not None:
            # Weigh whichever is smaller.
            left = g * factor if size_out < size_in else g
            right = a if size_out < size_in else a * factor
            total = weight.grad.view(models, size_out, size_in)
            total.baddbmm_(
                left.reshape(models, -1, size_out).mT, right.reshape(models, -1, size_in)
            )


def over_time(values: Tensor) -> Tensor:
    """View (B, D) or (B, ..., D) as (B, T, D)."""
    return values.reshape(len(values), -1, values.shape[-1])


def _contribute(call: Call) -> Contribution:
    inputs = call.argument(0, "input")
    dtype = next(iter(call.trainable.values())).dtype
    # Autocast runs the product in half precision; gradients are then formed in the weight's.
    flat = call.shared(inputs, "over time", lambda: over_time(inputs.to(dtype)))
    # Attention gives transposed gradients, which every later use would copy again.
    return contribute_over_time(call, flat, over_time(call.gradient.to(dtype)).contiguous())


for _layer in (nn.Linear, stacked.Linear):
    register_rule(_layer, Rule(_contribute))
