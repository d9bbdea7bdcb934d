"""Private training of models side by side: each has batches, clipping, noise and plan of its own.

The examples of all models go through stacked layers as one batch, so that one clipper gives each
example its norm, and adds it, weighted, to the gradients of its own model alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from modiva.privacy import CLIPPERS, Clipping, Microbatches
from modiva.training.batches import EncodedSplits
from modiva.training.config import TrainConfig
from modiva.training.layer_stack import LayerStack
from modiva.training.losses import chunk_sizes, chunks_by_length
from modiva.training.memory import retain_freed_memory
from modiva.training.private_run import PrivateRun
from modiva.training.stack_run import StackRun, cross_entropies


class PrivateStackRun(StackRun):
    """The state of a stack in private training.

    Raises:
        ModivaError: what the clipper cannot clip, or settings that a plan cannot promise.
    """

    stack: LayerStack

    def __init__(
        self,
        stack: LayerStack,
        splits: Sequence[EncodedSplits],
        config: TrainConfig,
        seeds: Sequence[int],
        progress: bool,
    ) -> None:
        settings = config.privacy
        assert settings is not None
        if splits[0].train.ids.device.type == "cpu":
            retain_freed_memory()
        self.runs = [
            PrivateRun(len(split.train), replace(config, seed=seed))
            for split, seed in zip(splits, seeds, strict=True)
        ]
        super().__init__(stack, splits, config, seeds, progress)
        self.trained = stack.trainable()
        self.clipper = CLIPPERS["dp"](
            stack.skeleton,
            Clipping(
                clip_norm=settings.clip_norm,
                automatic=settings.clipping == "automatic",
                expected_batch_size=sum(run.expected for run in self.runs),
                microbatches=Microbatches(),
                generator=torch.Generator(),
            ),
        )
        self._check(self.runs)
        self.clipped = torch.zeros(len(splits), device=self.data.ids.device)
        tokens, self.cost = chunk_sizes(stack.skeleton)
        self.tokens = tokens // 4

    def draw(self, seeds: Sequence[int]) -> list[Iterator[list[Tensor]]]:
        """Return each model's epochs of Poisson batches, each batch (n,) indices."""
        return [iter(run.epoch, None) for run in self.runs]

    def update(self, models: Tensor, columns: Tensor) -> Tensor:
        """Take one private step of each running model; see `StackRun.update`."""
        runs = [self.runs[m] for m in models.tolist()]
        self._check(runs)
        self.optimizer.zero_grad(set_to_none=True)
        self.stack.skeleton.train()
        sums = self._clip(models, columns)
        sizes = (columns >= 0).sum(1).tolist()
        for parameter in self.trained:
            if parameter.grad is None:  # all batches are empty
                parameter.grad = torch.zeros_like(parameter)
        for row, (run, size) in enumerate(zip(runs, sizes, strict=True)):
            gradients = self.stack.own_gradients(row)
            run.add_noise_(gradients, size)
            torch._foreach_div_(gradients, self.clipper.divisor(run.expected))
        self.optimizer.step()
        return sums

    def _check(self, runs: Sequence[PrivateRun]) -> None:
        """Raise before a step that a plan does not promise."""
        for run in runs:
            run.check(sensitivity=self.clipper.sensitivity, clip_norm=self.clipper.clip_norm)

    def _clip(self, models: Tensor, columns: Tensor) -> Tensor:
        """Leave the clipped sums of the batches in `.grad`; returns the sums of losses (m,)."""
        real = columns >= 0
        lengths = self.data.lengths[models[:, None], columns] * real  # (m, B)
        # Each model's sentences by length, the places that it leaves empty first.
        lengths, order = (lengths - (~real).long()).sort(dim=1, stable=True)
        columns, real = columns.gather(1, order), real.gather(1, order)
        longest = lengths.clamp(min=0).amax(0)  # (B,)
        sums = torch.zeros(len(models), device=self.data.ids.device)
        tokens, cost = self.tokens // len(models), self.cost // len(models)
        for part in chunks_by_length(longest, torch.arange(len(longest)), tokens, cost):
            ids, mask, labels = self.data.take(models, columns[:, part], real[:, part])
            kept = real[:, part].to(sums)  # (m, b)
            # An empty place has weight zero, hence a gradient of zero and none after clipping.
            losses = cross_entropies(self.stack.logits(ids, mask), labels) * kept
            norms = self.clipper.backward(losses.flatten())
            assert isinstance(norms, Tensor)  # (m * b,)
            long = (norms > self.clipper.clip_norm).view_as(kept).sum(1)
            self.clipped[models.to(sums.device)] += long
            sums += losses.detach().sum(1)
        return sums

    def privacy(self, model: int) -> dict[str, Any]:
        """Return the fields of a model's `TrainResult` that private training has."""
        run = self.runs[model]
        return run.results(
            clipper=type(self.clipper).__name__,
            clipped_fraction=float(self.clipped[model]) / max(sum(run.sizes), 1),
        )
