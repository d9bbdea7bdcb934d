"""One epoch of private training: Poisson batches, clipping, noise, AdamW (DP-Adam).

The guarantee is that of `modiva.privacy.PrivacyPlan`; this file keeps its side of the bargain:
every step of the plan takes a Poisson sample of the training split, has a clipper sum its clipped
gradients (`modiva.privacy.Clipper`), adds noise of `noise_multiplier * clip_norm` to the sum
whatever the sample's size, zero included, and divides by a number that does not depend on the
sample. Batches, noise, dropout and what a clipper draws have generators of their own.
"""

import math
from typing import Any

from torch import Tensor, nn

from modiva.errors import ModivaError
from modiva.privacy import (
    CLIPPERS,
    ClipperFactory,
    Clipping,
    Microbatches,
    PrivacyPlan,
    add_noise_,
    calibrate,
    check_delta,
    poisson_batches,
    retain_freed_memory,
    sampling_rate_of,
    steps_an_epoch,
)
from modiva.training.batches import EncodedSplit
from modiva.training.config import PrivacySettings, TrainConfig
from modiva.training.losses import ChunkedLosses
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
        # Public, as the sampling rate and the divisor follow from it.
        size = settings.public_size or len(split)
        self.expected = sampling_rate_of(size, settings.batch_size) * size
        self.parameters = trainable(model)
        self.clipper = (clipper or CLIPPERS[settings.method])(
            model,
            Clipping(
                clip_norm=settings.clip_norm,
                automatic=settings.clipping == "automatic",
                expected_batch_size=self.expected,
                microbatches=settings.microbatches or Microbatches(),
                generator=generator(config.seed, "microbatches"),
            ),
        )
        self.steps = 0
        self.sizes: list[int] = []
        self.noise_stds: list[float] = []
        try:
            self.privacy = make_plan(settings, size, config.epochs, self.clipper.sensitivity)
            self._check()
            self.losses = ChunkedLosses(model, split)
        except BaseException:
            self.close()
            raise
        self.optimizer = make_optimizer(self.parameters, config)
        self.batches = poisson_batches(
            len(split),
            self.privacy.sampling_rate,
            self.privacy.steps,
            generator(config.seed, "poisson"),
        )
        self.noise = generator(config.seed, "noise")

    def epoch(self) -> float:
        """Train about one expected pass; returns the mean training loss of a sampled sentence."""
        total = 0.0
        before = sum(self.sizes)
        for _ in range(steps_an_epoch(self.privacy.sampling_rate)):
            total += self._step(next(self.batches))
        return total / max(sum(self.sizes) - before, 1)

    def _step(self, indices: Tensor) -> float:
        self._check()
        self.optimizer.zero_grad(set_to_none=True)
        total = self.clip(indices)
        std = self.privacy.noise_std(self.steps)
        add_noise_(self.parameters, std, self.noise)
        divisor = self.clipper.divisor(self.expected)
        for parameter in self.parameters:
            assert parameter.grad is not None
            parameter.grad /= divisor
        self.optimizer.step()
        self.steps += 1
        self.sizes.append(len(indices))
        self.noise_stds.append(std)
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
        self.privacy.verify(sensitivity=self.clipper.sensitivity, clip_norm=self.clipper.clip_norm)
        if self.steps >= self.privacy.steps:
            raise ModivaError(
                f"the privacy plan has steps={self.privacy.steps}, and they have all been taken: "
                "its epsilon would not hold after another; train with more epochs from the start"
            )

    @property
    def plan(self) -> dict[str, Any]:
        """What was promised and what really ran."""
        sampled = sum(self.sizes)
        return {
            **self.privacy.describe(),
            "ran": {
                "steps": self.steps,
                "noise_std": {
                    "largest": max(self.noise_stds, default=None),
                    "smallest": min(self.noise_stds, default=None),
                },
                "batch_sizes": {
                    "expected": self.expected,
                    "mean": sampled / max(self.steps, 1),
                    "smallest": min(self.sizes, default=0),
                    "largest": max(self.sizes, default=0),
                    "empty": self.sizes.count(0),
                },
                "clipper": type(self.clipper).__name__,
                **self.clipper.describe(),
            },
        }

    def close(self) -> None:
        """Take the clipper's hooks off the model."""
        self.clipper.close()


def make_plan(
    settings: PrivacySettings, dataset_size: int, epochs: int, sensitivity: int = 1
) -> PrivacyPlan:
    """Return the plan of a run: from its noise multiplier, or calibrated to its epsilon.

    Args:
        dataset_size: sentences of the training split, or the size that is public in its place.
        epochs: expected passes over them.
        sensitivity: of the clipper, in clip norms.

    Raises:
        ModivaError: a delta that is no promise, since it exceeds one over the number of sentences.
    """
    check_delta(settings.delta, dataset_size)
    rate = sampling_rate_of(dataset_size, settings.batch_size)
    steps = steps_an_epoch(rate)
    common: dict[str, Any] = {
        "dataset_size": dataset_size,
        "sampling_rate": rate,
        "steps": epochs * steps,
        "clip_norm": settings.clip_norm,
        "delta": settings.delta,
        "sensitivity": sensitivity,
    }
    schedule = None
    if settings.noise_decay != 1:
        schedule = tuple(
            settings.noise_decay**epoch for epoch in range(epochs) for _ in range(steps)
        )
    if settings.epsilon is not None:
        return calibrate(epsilon=settings.epsilon, noise_schedule=schedule, **common)
    noise = settings.noise_multiplier
    assert noise is not None
    return PrivacyPlan(
        noise_multiplier=noise if schedule is None else tuple(noise * part for part in schedule),
        **common,
    )


def finite(epsilon: float) -> float | None:
    """Replace an infinite epsilon by None, since JSON has no infinity."""
    return epsilon if math.isfinite(epsilon) else None
