"""The oracle: per-example clipping by one backward pass for each example, slow and beyond doubt."""

from collections.abc import Iterable

import torch
from torch import Tensor

from modiva.errors import ModivaError
from modiva.privacy.checks import check_losses, clip_weights
from modiva.privacy.clipper import BaseClipper


class ReferenceClipper(BaseClipper):
    """Clips per example with `torch.autograd.grad` over one retained graph.

    It has the interface of `PerExampleClipper`, needs no rules, and takes about as many backward
    passes as there are examples. It is exact where example i's loss depends on example i alone,
    so batch normalisation is refused.

    Args:
        model: any module; its parameters that require a gradient are trained.
        clip_norm: C, above 0: the largest L2 norm of one example's gradient.
        automatic: automatic clipping in place of a threshold.
    """

    def parts(self, examples: int) -> Iterable[Tensor]:
        """Make every example a part: training runs the model on one at a time (method "loop")."""
        return [torch.tensor([place]) for place in range(examples)]

    def backward(self, losses: Tensor) -> Tensor:
        """Add the sum of clipped gradients to every `.grad` and return the norms (B,).

        Args:
            losses: (B,), one loss an example (`reduction="none"`).
        """
        check_losses(losses)
        names, parameters = zip(*self.trainable.items(), strict=True)
        sums = [torch.zeros_like(parameter) for parameter in parameters]
        norms = losses.new_zeros(len(losses))
        for i in range(len(losses)):
            gradients = torch.autograd.grad(
                losses[i], parameters, retain_graph=True, allow_unused=True
            )
            for name, gradient in zip(names, gradients, strict=True):
                if gradient is None:
                    raise ModivaError(
                        f"{name} is trainable but took no part in this forward pass: freeze it "
                        "(requires_grad_(False)) or use it"
                    )
            used = [gradient for gradient in gradients if gradient is not None]
            norms[i] = (
                torch.stack([gradient.double().pow(2).sum() for gradient in used]).sum() ** 0.5
            )
            weight = clip_weights(norms[i : i + 1], self.clip_norm, self.automatic, first=i)
            for total, gradient in zip(sums, used, strict=True):
                total.add_(gradient * weight)
        for parameter, total in zip(parameters, sums, strict=True):
            parameter.grad = total if parameter.grad is None else parameter.grad.add_(total)
        self.count(norms, self.clip_norm)
        return norms
