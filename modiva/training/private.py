"""One epoch of private training: Poisson batches, per-example clipping, noise, AdamW (DP-Adam).

The guarantee is that of `modiva.privacy.PrivacyPlan`; this file keeps its side of the bargain:
every step of the plan takes a Poisson sample of the training split, sums gradients clipped per
example, adds noise of `noise_multiplier * clip_norm` to the sum whatever the sample's size, zero
included, and divides by the EXPECTED size. Batches, noise and dropout have generators of their own.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from modiva.errors import ModivaError
from modiva.privacy import (
    PerExampleClipper,
    PrivacyPlan,
    add_noise_,
    calibrate,
    poisson_batches,
)
from modiva.training.batches import EncodedSplit, chunks_of_tokens
from modiva.training.config import PrivacySettings, TrainConfig
from modiva.training.seeds import generator
from modiva.training.steps import make_optimizer, trainable

# Activations kept for one chunk of a logical batch, in tokens times hidden size.
CHUNK_FLOATS = 1 << 20


class PrivateSteps:
    """The optimiser steps of one model under differential privacy."""

    def __init__(self, model: nn.Module, split: EncodedSplit, config: TrainConfig) -> None:
        assert config.privacy is not None
        self.model, self.split, self.settings = model, split, config.privacy
        self.privacy = make_plan(config.privacy, len(split), config.epochs)
        self.expected = self.privacy.sampling_rate * len(split)
        self.parameters = trainable(model)
        self.optimizer = make_optimizer(self.parameters, config)
        self.batches = poisson_batches(
            len(split),
            self.privacy.sampling_rate,
            self.privacy.steps,
            generator(config.seed, "poisson"),
        )
        self.noise = generator(config.seed, "noise")
        self.clipper = PerExampleClipper(model, self.privacy.clip_norm)
        self.tokens = max(
            CHUNK_FLOATS // getattr(getattr(model, "config", None), "hidden_size", 128), 256
        )
        self.steps = 0
        self.sizes: list[int] = []
        self.clipped = 0

    def epoch(self) -> float:
        """Train about one expected pass; returns the mean training loss of a sampled sentence."""
        total = 0.0
        before = sum(self.sizes)
        for _ in range(steps_an_epoch(self.privacy.sampling_rate)):
            total += self._step(next(self.batches))
        return total / max(sum(self.sizes) - before, 1)

    def _step(self, indices: torch.Tensor) -> float:
        total = 0.0
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        for chunk in chunks_of_tokens(self.split.lengths, indices, self.tokens):
            ids, mask, labels = self.split.take(chunk)
            logits = self.model(input_ids=ids, attention_mask=mask).logits  # (B, C)
            losses = F.cross_entropy(logits, labels, reduction="none")  # (B,)
            norms = self.clipper.backward(losses)  # (B,)
            self.clipped += int((norms > self.privacy.clip_norm).sum())
            total += float(losses.detach().sum())
        add_noise_(self.parameters, self.privacy.noise_std(self.steps), self.noise)
        for parameter in self.parameters:
            assert parameter.grad is not None
            parameter.grad /= self.expected
        self.optimizer.step()
        self.steps += 1
        self.sizes.append(len(indices))
        return total

    @property
    def plan(self) -> dict[str, Any]:
        """What was promised and what really ran."""
        sampled = sum(self.sizes)
        return {
            **self.privacy.describe(),
            "ran": {
                "steps": self.steps,
                "batch_sizes": {
                    "expected": self.expected,
                    "mean": sampled / max(self.steps, 1),
                    "smallest": min(self.sizes, default=0),
                    "largest": max(self.sizes, default=0),
                    "empty": self.sizes.count(0),
                },
                "clipped_fraction": self.clipped / max(sampled, 1),
            },
        }

    def close(self) -> None:
        """Take the clipper's hooks off the model."""
        self.clipper.close()


def steps_an_epoch(sampling_rate: float) -> int:
    """Steps after which about every sentence has been sampled once on average."""
    return max(round(1 / sampling_rate), 1)


def make_plan(settings: PrivacySettings, dataset_size: int, epochs: int) -> PrivacyPlan:
    """The plan of a run: from its noise multiplier, or calibrated to its epsilon.

    Args:
        dataset_size: sentences of the training split, which is taken as public.
        epochs: expected passes over them.

    Raises:
        ModivaError: a delta that is no promise, since it exceeds one over the number of sentences.
    """
    if settings.delta >= 1 / dataset_size:
        raise ModivaError(
            f"delta={settings.delta} with {dataset_size} training sentences: a delta of 1 / "
            "sentences or more allows publishing one of them; give a smaller one"
        )
    rate = min(settings.batch_size / dataset_size, 1.0)
    common: dict[str, Any] = {
        "dataset_size": dataset_size,
        "sampling_rate": rate,
        "steps": epochs * steps_an_epoch(rate),
        "clip_norm": settings.clip_norm,
        "delta": settings.delta,
    }
    if settings.epsilon is not None:
        return calibrate(epsilon=settings.epsilon, **common)
    assert settings.noise_multiplier is not None
    return PrivacyPlan(noise_multiplier=settings.noise_multiplier, **common)


def finite(epsilon: float) -> float | None:
    """None for an infinite epsilon: no bound is not a number that a file could hold."""
    return epsilon if math.isfinite(epsilon) else None
