"""A rule for private training: per-example gradients of a layer with one factor per feature."""

import torch
from torch import nn

from modiva.privacy.engine import PerExampleClipper
from modiva.privacy.reference import ReferenceClipper
from modiva.privacy.rules.registry import Call, Contribution, Rule, accumulate, register_rule


class Scale(nn.Module):
    """Multiply each feature by a factor: (B, ..., D) to (B, ..., D)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


def contribute(call: Call) -> Contribution:
    gradients = call.gradient * call.argument(0, "x")  # (B, ..., D), at each position
    gradients = gradients.flatten(1, -2).sum(1) if gradients.dim() > 2 else gradients  # (B, D)

    def add(weights: torch.Tensor) -> None:  # (B,)
        accumulate(call.trainable["weight"], weights @ gradients)

    return Contribution(gradients.square().sum(1), add)


register_rule(Scale, Rule(contribute, parameters=("weight",)))


def test_clipping_of_the_new_layer_is_exact():
    x, sums = torch.randn(4, 3, 5), []
    for clipper_class in (PerExampleClipper, ReferenceClipper):
        model = Scale(5)
        with clipper_class(model, clip_norm=0.5) as clipper:
            clipper.backward(model(x).square().sum((1, 2)))
        sums.append(model.weight.grad)
    torch.testing.assert_close(sums[0], sums[1])
