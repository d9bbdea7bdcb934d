"""The rule of `nn.Linear`, over vectors or over any number of time-like dimensions."""

import torch
from torch import Tensor, nn

from modiva.privacy.rules.registry import (
    Call,
    Contribution,
    Rule,
    accumulate,
    register_rule,
    squared_sum,
)

# Elements of the per-example gradients that may exist at once where there is no way around them.
BLOCK = 1 << 20


def contribute_over_time(call: Call, inputs: Tensor, gradients: Tensor) -> Contribution:
    """Clip a weight (out, in), and a bias if trained, that is applied at every time step.

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
        pairs = gradients @ gradients.mT  # (B, T, T)
        squares = (pairs * (gram + 1 if bias is not None else gram)).sum((1, 2))
    else:
        rows = max(1, BLOCK // (size_in * size_out))
        blocks = zip(gradients.split(rows), inputs.split(rows), strict=True)
        squares = torch.cat([squared_sum(g.mT @ a) for g, a in blocks])
        if bias is not None:
            squares = squares + squared_sum(gradients.sum(1))

    def add(weights: Tensor) -> None:
        column = weights.view(-1, 1, 1)
        if bias is not None:
            flat = gradients.reshape(-1, size_out)
            repeated = call.shared(
                weights, f"repeated {length}", lambda: weights.repeat_interleave(length)
            )
            accumulate(bias, flat.mT @ repeated)
        if weight is None:
            return
        # Weigh whichever is smaller; inputs are often shared between layers.
        if size_in <= size_out:
            left = gradients
            right = call.shared(inputs, "weighted", lambda: inputs * column)
        else:
            left, right = gradients * column, inputs
        left, right = left.reshape(-1, size_out).mT, right.reshape(-1, size_in)
        if weight.grad is None:
            weight.grad = left @ right
        else:
            weight.grad.addmm_(left, right)

    return Contribution(squares, add)


def over_time(values: Tensor) -> Tensor:
    """View (B, D) or (B, ..., D) as (B, T, D)."""
    return values.reshape(len(values), -1, values.shape[-1])


def _contribute(call: Call) -> Contribution:
    inputs = call.argument(0, "input")
    dtype = next(iter(call.trainable.values())).dtype
    # Autocast runs the product in half precision; gradients are then formed in the weight's.
    flat = call.shared(inputs, "over time", lambda: over_time(inputs.to(dtype)))
    return contribute_over_time(call, flat, over_time(call.gradient.to(dtype)))


register_rule(nn.Linear, Rule(_contribute))
