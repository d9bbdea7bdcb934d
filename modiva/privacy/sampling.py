"""The two random parts of DP-SGD: Poisson batches and Gaussian noise."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modiva.validate import require

# Noise is drawn in pieces that stay in the cache, so it needs no memory of the model's size.
PIECE = 1 << 18


def poisson_batches(
    dataset_size: int, sampling_rate: float, steps: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield `steps` batches of indices (n,) long, each example in each with `sampling_rate`.

    Batches differ in size and may be empty: an empty one is a step of noise alone. The accounting
    of `PrivacyPlan` holds for these batches and not for shuffled ones.
    """
    for _ in range(steps):
        # Double precision: single would round the rate to a multiple of 2**-24.
        draws = torch.rand(dataset_size, generator=generator, dtype=torch.float64)
        yield (draws < sampling_rate).nonzero().flatten()


@torch.no_grad()
def add_noise_(gradients: Sequence[Tensor], std: float, generator: torch.Generator) -> None:
    """Add independent N(0, std**2) to every element of gradients, in place.

    Half-precision gradients get noise that was drawn in single precision.

    Args:
        gradients: of all trainable parameters, on one device; an empty batch's are zeros.
        std: noise multiplier times clip norm, 0 or more.
        generator: used for nothing else, so that nothing else reveals the noise.
    """
    require(0 <= std < math.inf, "std", std, "0 or more and finite")
    if std == 0:
        return
    stream = _NoiseStream(std, generator, sum(gradient.numel() for gradient in gradients))
    for gradient in gradients:
        if gradient.is_contiguous():
            stream.add_to(gradient.view(-1))
        else:
            flat = gradient.flatten()
            stream.add_to(flat)
            gradient.copy_(flat.view_as(gradient))


class _NoiseStream:
    """Deals one long run of Gaussian draws out to gradients of any size: few, large draws."""

    def __init__(self, std: float, generator: torch.Generator, elements: int) -> None:
        self.std = std
        self.generator = generator
        self.size = min(PIECE, elements)
        self.pieces: dict[torch.dtype, Tensor] = {}  # what is left of the last piece

    def add_to(self, grad: Tensor) -> None:
        dtype = grad.dtype if grad.dtype == torch.float64 else torch.float32
        done = 0
        while done < grad.numel():
            left = self.pieces.get(dtype)
            if left is None or not left.numel():
                # A view of spent noise is dropped; the allocator hands the same memory out again.
                # Drawn where the generator lives: one on the CPU serves a model on CUDA too.
                left = torch.empty(self.size, dtype=dtype, device=self.generator.device)
                left = left.normal_(0.0, self.std, generator=self.generator).to(grad.device)
            n = min(left.numel(), grad.numel() - done)
            grad[done : done + n].add_(left[:n])
            self.pieces[dtype] = left[n:]
            done += n
