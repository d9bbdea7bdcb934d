"""The plan of one model's private training, what is drawn for it, and the record of what ran."""

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

from torch import Tensor

from modiva.errors import ModivaError
from modiva.privacy import (
    PrivacyPlan,
    add_noise_,
    calibrate,
    check_delta,
    poisson_batches,
    sampling_rate_of,
    steps_an_epoch,
)
from modiva.training.config import PrivacySettings, TrainConfig
from modiva.training.seeds import generator


class PrivateRun:
    """One model's promise and its record, whether it trains alone or in a stack.

    Args:
        sentences: of the training split.
        config: of the training, with its privacy and its seed.
        sensitivity: of the clipper, in clip norms.

    Raises:
        ModivaError: settings that a plan cannot promise.
    """

    def __init__(self, sentences: int, config: TrainConfig, sensitivity: int = 1) -> None:
        settings = config.privacy
        assert settings is not None
        size = settings.public_size or sentences
        self.privacy = make_plan(settings, size, config.epochs, sensitivity)
        self.expected = self.privacy.expected_batch_size
        self.batches = poisson_batches(
            sentences,
            self.privacy.sampling_rate,
            self.privacy.steps,
            generator(config.seed, "poisson"),
        )
        self.noise = generator(config.seed, "noise")
        self.sizes: list[int] = []
        self.noise_stds: list[float] = []

    @property
    def steps(self) -> int:
        """The steps taken."""
        return len(self.sizes)

    def epoch(self) -> list[Tensor]:
        """Draw the batches of about one expected pass, each (n,) indices."""
        return list(islice(self.batches, steps_an_epoch(self.privacy.sampling_rate)))

    def check(self, *, sensitivity: int, clip_norm: float) -> None:
        """Raise before a step that the plan does not promise."""
        self.privacy.verify(sensitivity=sensitivity, clip_norm=clip_norm)
        if self.steps >= self.privacy.steps:
            raise ModivaError(
                f"the privacy plan has steps={self.privacy.steps}, and they have all been taken: "
                "its epsilon would not hold after another; train with more epochs from the start"
            )

    def add_noise_(self, gradients: Sequence[Tensor], size: int) -> None:
        """Add the noise of the present step to its clipped sum, in place, and record the step.

        Args:
            gradients: of all trainable parameters in the model's order, contiguous.
            size: sentences of the batch, for the record alone.
        """
        std = self.privacy.noise_std(self.steps)
        add_noise_(gradients, std, self.noise)
        self.sizes.append(size)
        self.noise_stds.append(std)

    def describe(self, **clipping: Any) -> dict[str, Any]:
        """Return what was promised and what really ran, with what the clipper recorded."""
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
                    "mean": sum(self.sizes) / max(self.steps, 1),
                    "smallest": min(self.sizes, default=0),
                    "largest": max(self.sizes, default=0),
                    "empty": self.sizes.count(0),
                },
                **clipping,
            },
        }

    def results(self, **clipping: Any) -> dict[str, Any]:
        """Return the fields of a `TrainResult` that private training has."""
        return {
            "epsilon": finite(self.privacy.epsilon()),
            "delta": self.privacy.delta,
            "plan": self.describe(**clipping),
        }


def expected_batch_size(settings: PrivacySettings, sentences: int) -> float:
    """Return the expected size of the Poisson batches, which is public."""
    size = settings.public_size or sentences
    return sampling_rate_of(size, settings.batch_size) * size


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
