"""A clipper: every sentence's gradient becomes its signs, scaled to the clip norm."""

import pytest
import torch
from torch import nn

from modiva.condition import Condition, Privacy
from modiva.privacy.clipper import BaseClipper, Clipping
from modiva.training import prepare


class SignClipper(BaseClipper):
    """Scale the signs of each example's gradient to the L2 norm `clip_norm`."""

    def backward(self, losses: torch.Tensor) -> None:  # (b,)
        size = sum(parameter.numel() for parameter in self.parameters)
        for loss in losses:
            gradients = torch.autograd.grad(loss, self.parameters, retain_graph=True)
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                signs = gradient.sign() * self.clip_norm / size**0.5
                parameter.grad = signs if parameter.grad is None else parameter.grad + signs


def sign_clipper(model: nn.Module, clipping: Clipping) -> SignClipper:
    return SignClipper(model, clipping.clip_norm)


def clipped_sum(examples: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)
    with SignClipper(model := nn.Linear(5, 1), clip_norm=0.5) as clipper:
        clipper.backward(model(examples).square().sum(1))
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_removing_one_example_moves_the_sum_by_at_most_its_sensitivity():
    examples = torch.randn(6, 5)
    total = clipped_sum(examples)
    for removed in range(6):
        moved = total - clipped_sum(examples[torch.arange(6) != removed])
        assert moved.norm() <= SignClipper.sensitivity * 0.5 * (1 + 1e-6)


def test_private_training_takes_it_and_records_it():
    privacy = Privacy(noise_multiplier=1.0)
    condition = Condition(size="small", sentences=300, epochs=2, privacy=privacy)
    ((target, _),) = prepare(condition, device="cpu").train([0], clipper=sign_clipper)
    assert target.result.plan["ran"]["clipper"] == "SignClipper"
    assert target.result.plan["epsilon"] == pytest.approx(
        prepare(condition, device="cpu").train([0])[0][0].result.plan["epsilon"]
    )
