"""The protocol of clippers: how private training calls what clips gradients."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from modiva.privacy.checks import trainable_of
from modiva.validate import positive, require


class Clipper(Protocol):
    """Clips the gradients of a batch and leaves their sum in `.grad`.

    For each part of a batch, training calls `backward` with the losses of one chunk of the part
    after the other, then `finish`.

    Attributes:
        clip_norm: C, the L2 bound that noise is scaled by.
        sensitivity: how many clip norms the sum of a batch moves, at most, when one example is
            added or removed. Epsilon is accounted with it, and training cannot check it: test it,
            as tests/modiva/privacy/test_sensitivity.py does.
    """

    clip_norm: float
    sensitivity: int

    def parts(self, examples: int) -> Iterable[Tensor]:
        """Cut a batch into parts: indices (n,) of the examples that come between two `finish`."""

    def backward(self, losses: Tensor) -> object:
        """Take the losses (b,) of some examples of the part, after their forward pass."""

    def finish(self) -> object:
        """End the part: what it adds to the sum is in `.grad` afterwards."""

    def divisor(self, expected_batch_size: float) -> float:
        """Return the divisor of the noisy sum, which does not depend on the drawn batch."""

    def describe(self) -> dict[str, Any]:
        """Return what ran, as JSON values for the record of the training."""

    def close(self) -> None:
        """Restore the model."""


@dataclass(frozen=True)
class Microbatches:
    """How eDP-SGD (Dupuy et al. 2022) clips: the mean gradients of micro-batches.

    Args:
        size: expected sentences of a micro-batch; how many there are is fixed by it.
        per_layer: clip layer by layer, to shares of the clip norm by size; else all at once.

    Raises:
        ModivaError: a size below 1.
    """

    size: int = 16
    per_layer: bool = True

    def __post_init__(self) -> None:
        require(self.size >= 1, "size of a micro-batch", self.size, "1 or more")


@dataclass(frozen=True)
class Clipping:
    """The settings that a run gives to its clipper; all are public.

    Args:
        clip_norm: C. A clipper with another one is refused before the first step.
        automatic: scale every gradient to about C, and not only the long ones down.
        expected_batch_size: of the Poisson-sampled batches.
        microbatches: how eDP-SGD cuts a batch.
        generator: of what the clipper draws, and of nothing else.
    """

    clip_norm: float
    automatic: bool
    expected_batch_size: float
    microbatches: Microbatches
    generator: torch.Generator


ClipperFactory = Callable[[nn.Module, Clipping], Clipper]


class BaseClipper:
    """What clippers share; each of its answers is that of a sum over single examples.

    Args:
        model: its parameters that require a gradient are trained.
        clip_norm: C, above 0.
        automatic: automatic clipping in place of a threshold.

    Raises:
        ModivaError: a clip norm out of range, batch normalisation, or nothing to train.
    """

    sensitivity = 1

    def __init__(self, model: nn.Module, clip_norm: float, automatic: bool = False) -> None:
        self.model = model
        self.clip_norm = clip_norm
        positive(self, "clip_norm")
        self.automatic = automatic
        self.trainable = trainable_of(model)
        self._seen = self._long = 0

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The trainable parameters, in the order of `model.named_parameters()`."""
        return tuple(self.trainable.values())

    def parts(self, examples: int) -> Iterable[Tensor]:
        """Return the whole batch in one part."""
        return (torch.arange(examples),)

    def finish(self) -> object:
        """Do nothing: `backward` has added all there is."""

    def divisor(self, expected_batch_size: float) -> float:
        """Return the expected size of a batch."""
        return expected_batch_size

    def describe(self) -> dict[str, Any]:
        """Return the share of gradients that were longer than their bound."""
        return {"clipped_fraction": self._long / max(self._seen, 1)}

    def count(self, norms: Tensor, limits: float | Tensor) -> None:
        """Count the gradients that are longer than their bound.

        Args:
            norms: (n,), before clipping.
            limits: the bound, or one for each (n,).
        """
        self._seen += len(norms)
        self._long += int((norms > limits).sum())

    def close(self) -> None:
        """Do nothing: the model was not changed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
