"""The rule of `nn.LayerNorm`: its gradients are small enough to hold for every example."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modiva.classifiers import stacked
from modiva.privacy.rules.registry import (
    BLOCK,
    Call,
    Contribution,
    Rule,
    accumulate,
    models_of,
    register_rule,
    squared_sum,
    weighted_sum,
)


def _contribute(call: Call) -> Contribution:
    module = call.module
    assert isinstance(module, nn.LayerNorm | stacked.LayerNorm)
    dtype = next(iter(call.trainable.values())).dtype
    inputs = call.argument(0, "input").to(dtype)
    shape = module.normalized_shape
    gradients = call.gradient.to(dtype).reshape(len(inputs), -1, *shape)  # (B, T, *D)
    by_name: dict[str, Tensor] = {}  # each (B, *D)
    if "weight" in call.trainable:
        rows = max(1, BLOCK // (inputs[0].numel() + 1))
        blocks = zip(gradients.split(rows), inputs.split(rows), strict=True)
        by_name["weight"] = torch.cat(
            [(g * F.layer_norm(x, shape, eps=module.eps).view_as(g)).sum(1) for g, x in blocks]
        )
    if "bias" in call.trainable:
        by_name["bias"] = gradients.sum(1)

    def add(weights: Tensor) -> None:
        for name, gradient in by_name.items():
            total = weighted_sum(weights, gradient, models_of(module))
            accumulate(call.trainable[name], total)

    total = sum(squared_sum(gradient) for gradient in by_name.values())
    assert isinstance(total, Tensor)
    return Contribution(total, add)


for _layer in (nn.LayerNorm, stacked.LayerNorm):
    register_rule(_layer, Rule(_contribute))
