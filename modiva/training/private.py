"""One epoch of private training: Poisson batches, clipping, noise, AdamW (DP-Adam).

The guarantee is that of `modiva.privacy.PrivacyPlan`; this file keeps its side of the bargain:
every step of the plan takes a Poisson sample of the training split, has a clipper sum its clipped
gradients (`modiva.privacy.Clipper`), adds noise of `noise_multiplier * clip_norm` to the sum
whatever the sample's size, zero included, and divides by a number that does not depend on the
sample. Batches, noise, dropout and what a clipper draws have generators of their own.
"""

from typing import Any

import torch
from torch import Tensor, nn

from modiva.privacy import (
    CLIPPERS,
    ClipperFactory,
    Clipping,
    Microbatches,
)
from modiva.training.batches import EncodedSplit
from modiva.training.config import TrainConfig
from modiva.training.losses import ChunkedLosses
from modiva.training.memory import retain_freed_memory
from modiva.training.private_run import PrivateRun, expected_batch_size
from modiva.training.seeds import generator
from modiva.training.steps import make_optimizer, trainable


class PrivateSteps:
    """The optimiser steps of one model under differential privacy.

    Args:
        clipper: makes the clipper of the model; None takes that of the settings' method.

    Raises:
        ModivaError: what the clipper cannot clip, or settings that its plan cannot promise.
    """

    def __init__(
        self,
        model: nn.Module,
        split: EncodedSplit,
        config: TrainConfig,
        clipper: ClipperFactory | None = None,
    ) -> None:
        settings = config.privacy
        assert settings is not None
        if split.ids.device.type == "cpu":
            # A private step frees and takes again what its layers keep for clipping: up to a tenth
            # of the step goes into handing that memory back to the system in between.
            retain_freed_memory()
        self.parameters = trainable(model)
        self.clipper = (clipper or CLIPPERS[settings.method])(
            model,
            Clipping(
                clip_norm=settings.clip_norm,
                automatic=settings.clipping == "automatic",
                expected_batch_size=expected_batch_size(settings, len(split)),
                microbatches=settings.microbatches or Microbatches(),
                generator=generator(config.seed, "microbatches"),
            ),
        )
        try:
            self.run = PrivateRun(len(split), config, self.clipper.sensitivity)
            self._check()
            self.losses = ChunkedLosses(model, split)
            self.optimizer = make_optimizer(self.parameters, config)
        except BaseException:
            self.close()
            raise

    @property
    def steps(self) -> int:
        """The steps taken."""
        return self.run.steps

    def epoch(self) -> float:
        """Train about one expected pass; returns the mean training loss of a sampled sentence."""
        batches = self.run.epoch()
        total = sum(map(self._step, batches))
        return total / max(sum(map(len, batches)), 1)

    def _step(self, indices: Tensor) -> float:
        self._check()
        self.optimizer.zero_grad(set_to_none=True)
        total = self.clip(indices)
        gradients = []
        for parameter in self.parameters:
            if parameter.grad is None:  # an empty batch
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        self.run.add_noise_(gradients, len(indices))
        divisor = self.clipper.divisor(self.run.expected)
        for gradient in gradients:
            gradient /= divisor
        self.optimizer.step()
        return total

    def clip(self, indices: Tensor) -> float:
        """Leave the clipped sum of the batch at `indices` (B,) in `.grad`; returns its loss."""
        total = 0.0
        for places in self.clipper.parts(len(indices)):
            for losses in self.losses(indices[places]):  # (b,)
                self.clipper.backward(losses)
                total += float(losses.detach().sum())
            self.clipper.finish()
        return total

    def _check(self) -> None:
        """Raise before a step that the plan does not promise."""
        self.run.check(sensitivity=self.clipper.sensitivity, clip_norm=self.clipper.clip_norm)

    def results(self) -> dict[str, Any]:
        """Return the fields of a `TrainResult` that private training has."""
        return self.run.results(clipper=type(self.clipper).__name__, **self.clipper.describe())

    def close(self) -> None:
        """Take the clipper's hooks off the model."""
        self.clipper.close()
