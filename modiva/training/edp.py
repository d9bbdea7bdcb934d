"""eDP-SGD (Dupuy et al. 2022, arXiv 2107.14586): a step's sum of clipped micro-batch means.

Every sentence of a Poisson batch is assigned to one of M micro-batches, independently and uniformly
at random, and the mean gradient of each micro-batch is clipped as one. Cutting the batch into equal
parts instead would let one sentence shift all the others' places, and then every mean would change.
One sentence moves the sum by up to 2C and not C, and the plan accounts for that.
"""

from typing import Any

import torch
from torch import Tensor, nn

from modiva.privacy import MicrobatchClipper
from modiva.training.config import Microbatches
from modiva.training.losses import ChunkedLosses
from modiva.training.seeds import generator


class MicrobatchSum:
    """Leaves the sum of the M clipped mean gradients of a batch in `.grad`.

    Args:
        losses: of the model and split that are trained.
        expected: sentences of an expected batch; M is derived from it, hence public.
        seed: of the run; assignments have a generator of their own.
    """

    def __init__(
        self,
        model: nn.Module,
        losses: ChunkedLosses,
        settings: Microbatches,
        clip_norm: float,
        automatic: bool,
        expected: float,
        seed: int,
    ) -> None:
        self.losses, self.settings, self.expected = losses, settings, expected
        self.clipper = MicrobatchClipper(model, clip_norm, settings.per_layer, automatic)
        self.count = max(round(expected / settings.size), 1)
        self.places = generator(seed, "microbatches")
        self.thresholds = torch.tensor(self.clipper.clip_norms)  # (L,)
        self.clipped = self.filled = 0

    @property
    def divisor(self) -> float:
        """What the noisy sum is divided by: M, empty micro-batches included."""
        return self.count

    def add(self, indices: Tensor) -> float:
        """Add the batch at `indices` (B,) to `.grad`; returns the sum of its losses."""
        return self.add_assigned(indices, self.assign(len(indices)))

    def assign(self, sentences: int) -> Tensor:
        """Draw each sentence's micro-batch (B,), independently of the others'."""
        return torch.randint(self.count, (sentences,), generator=self.places)

    def add_assigned(self, indices: Tensor, places: Tensor) -> float:
        """Like `add`, with the micro-batch of each sentence given."""
        total = 0.0
        for place in range(self.count):
            part = indices[places == place]
            if not len(part):
                continue
            for losses in self.losses(part):
                self.clipper.accumulate(losses)
                total += float(losses.detach().sum())
            norms = self.clipper.clip()  # (L,)
            self.clipped += int((norms.cpu() > self.thresholds).sum())
            self.filled += 1
        return total

    def describe(self, steps: int, sampled: int) -> dict[str, Any]:
        """What ran: micro-batches, and the share of their layers' means that was clipped."""
        return {
            "microbatches": {
                "count": self.count,
                "expected_size": self.expected / self.count,
                "per_layer": self.settings.per_layer,
                "empty": steps * self.count - self.filled,
            },
            "clipped_fraction": self.clipped / max(self.filled * len(self.thresholds), 1),
        }
