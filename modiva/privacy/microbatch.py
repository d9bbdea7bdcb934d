"""Clips the mean gradient of a micro-batch as one, layer by layer (Dupuy et al. 2022, eDP-SGD)."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from modiva.errors import ModivaError
from modiva.privacy.checks import STABILITY, check_losses
from modiva.privacy.clipper import BaseClipper
from modiva.privacy.rules.registry import accumulate


class MicrobatchClipper(BaseClipper):
    """Clips each micro-batch's mean gradient and leaves the sum over micro-batches in `.grad`.

    Use: for each micro-batch, `backward` with the losses of its chunks, then `finish`.

    Every example of a batch is assigned to one of `count` micro-batches, independently and
    uniformly at random. Cutting the batch into equal parts instead would let one example shift all
    the others' places, and then every mean would change.

    Formal guarantee: adding or removing one example of one micro-batch moves the sum in `.grad` by
    at most 2 * clip_norm in L2 norm (up to floating point), provided that every other example stays
    in its micro-batch and that the losses of a micro-batch depend on its own examples alone. The
    factor of 2 cannot be had smaller: one example can turn the mean of the others round, so that
    its clipped value goes from C to -C in the same direction.

    Args:
        model: any module without batch normalisation, whose running statistics would leave the
            training without noise.
        clip_norm: C, above 0: the largest L2 norm of a clipped mean gradient.
        per_layer: clip each layer l of d_l trainable elements (of d in all) to C * sqrt(d_l / d),
            which gives C over all layers; else the gradient as a whole. A layer is the module that
            holds the parameters.
        automatic: scale every mean by C_l / (norm_l + 0.01) and not only the long ones down, so
            that there is no C to choose (automatic clipping, see `clip_weights`).
        count: micro-batches of a batch; fixed, hence public.
        generator: of the assignment.

    Raises:
        ModivaError: a clip norm out of range, batch normalisation, or nothing to train.
    """

    sensitivity = 2

    def __init__(
        self,
        model: nn.Module,
        clip_norm: float,
        per_layer: bool = True,
        automatic: bool = False,
        count: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(model, clip_norm, automatic)
        self.per_layer, self.microbatches, self.generator = per_layer, count, generator
        layers: dict[str, list[int]] = {}
        for i, name in enumerate(self.trainable):
            layers.setdefault(name.rpartition(".")[0] if per_layer else "", []).append(i)
        self.layers = {name: tuple(places) for name, places in layers.items()}
        sizes = [sum(self.parameters[i].numel() for i in places) for places in self.layers.values()]
        self.clip_norms = tuple(clip_norm * math.sqrt(size / sum(sizes)) for size in sizes)
        self._sums: list[Tensor] = []
        self._examples = 0
        self._empty = 0

    def parts(self, examples: int) -> Iterable[Tensor]:
        """Yield the micro-batches of a batch that are not empty."""
        places = self.assign(examples)
        for number in range(self.microbatches):
            part = (places == number).nonzero().flatten()
            if len(part):
                yield part
            else:
                self._empty += 1

    def assign(self, examples: int) -> Tensor:
        """Draw each example's micro-batch (B,), independently of the others'."""
        return torch.randint(self.microbatches, (examples,), generator=self.generator)

    def backward(self, losses: Tensor) -> None:
        """Take the losses (B,) of a chunk of the present micro-batch, `reduction="none"`.

        Raises:
            ModivaError: losses that are not one an example, or a trainable parameter that took no
                part in them.
        """
        check_losses(losses)
        if not len(losses):
            return
        gradients = torch.autograd.grad(losses.sum(), self.parameters, allow_unused=True)
        used = [gradient for gradient in gradients if gradient is not None]
        if len(used) < len(gradients):
            unused = next(
                name
                for name, gradient in zip(self.trainable, gradients, strict=True)
                if gradient is None
            )
            raise ModivaError(
                f"{unused} is trainable but took no part in this forward pass: freeze it "
                "(requires_grad_(False)) or use it"
            )
        # Not in place: autograd may give two parameters the same tensor.
        self._sums = [a + b for a, b in zip(self._sums, used, strict=True)] if self._sums else used
        self._examples += len(losses)

    def finish(self) -> Tensor:
        """End the micro-batch: add its clipped mean gradient to `.grad`.

        Returns:
            The norms (L,) of the mean gradient's layers before they were clipped; zeros for an
            empty micro-batch, which adds nothing.

        Raises:
            ModivaError: a gradient that is not finite; `.grad` is then as it was.
        """
        sums, examples = self._sums, self._examples
        self._sums, self._examples = [], 0
        if not examples:
            return torch.zeros(len(self.layers))
        norms = torch.stack(
            [
                torch.linalg.vector_norm(
                    torch.stack([torch.linalg.vector_norm(sums[i]) for i in places])
                )
                for places in self.layers.values()
            ]
        )  # (L,)
        norms = norms / examples
        if not bool(torch.isfinite(norms).all()):
            layer = list(self.layers)[int((~torch.isfinite(norms)).nonzero()[0])]
            raise ModivaError(
                f"the mean gradient of a micro-batch is not finite at {layer or 'the model'}, so "
                "it cannot be clipped: lower the learning rate or use float32"
            )
        limits = norms.new_tensor(self.clip_norms)
        self.count(norms, limits)
        if self.automatic:
            weights = limits / (norms + STABILITY)  # (L,)
        else:
            weights = (limits / norms).clamp(max=1.0)
        weights = weights / examples
        for weight, places in zip(weights, self.layers.values(), strict=True):
            for i in places:
                accumulate(self.parameters[i], sums[i] * weight)
        return norms

    def divisor(self, expected_batch_size: float) -> float:
        """Return the number of micro-batches, empty ones included."""
        return self.microbatches

    def describe(self) -> dict[str, Any]:
        """Return the micro-batches, and the share of their layers' means that was clipped."""
        return {
            "microbatches": {
                "count": self.microbatches,
                "per_layer": self.per_layer,
                "empty": self._empty,
            },
            **super().describe(),
        }
