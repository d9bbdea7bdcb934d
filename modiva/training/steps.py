"""One epoch of ordinary training: AdamW on length-bucketed batches."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modiva.training.batches import EncodedSplit, length_batches
from modiva.training.config import TrainConfig
from modiva.training.losses import frozen_vectors
from modiva.training.rows import use_rows
from modiva.training.seeds import generator


class PlainSteps:
    """The optimiser steps of one model; its state lives from epoch to epoch.

    Args:
        watched: what the model is evaluated on between the epochs.
    """

    def __init__(
        self,
        model: nn.Module,
        split: EncodedSplit,
        config: TrainConfig,
        watched: Sequence[EncodedSplit] = (),
    ) -> None:
        self.model, self.split, self.config = model, split, config
        self.steps = 0
        self.vectors = frozen_vectors(model, split)
        self.rows = use_rows(model, (split, *watched))
        try:
            self.optimizer = make_optimizer(trainable(model), config)
        except BaseException:
            self.close()
            raise
        self.epochs = epoch_batches(split, config, config.seed)

    def epoch(self) -> float:
        """Train one pass over the split; returns the mean training loss of a sentence."""
        device = self.split.ids.device
        autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
        )
        total = torch.zeros((), device=device)
        for indices in next(self.epochs):
            if self.vectors is None:
                ids, mask, labels = self.split.take(indices)
                inputs = {"input_ids": ids, "attention_mask": mask}
            else:
                where = indices.to(device)
                inputs, labels = {"vectors": self.vectors[where]}, self.split.labels[where]
            with autocast:
                logits = self.model(**inputs).logits  # (B, C)
            loss = F.cross_entropy(logits.float(), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.steps += 1
            if self.rows is not None:
                self.rows.steps += 1
            total += loss.detach() * len(indices)
        return float(total) / len(self.split)

    def close(self) -> None:
        """Give the model its whole embedding again, where only rows of it were trained."""
        if self.rows is not None:
            self.rows.put_back(self.model, self.config.learning_rate * self.config.weight_decay)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are not frozen, in the model's order."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def make_optimizer(parameters: Sequence[Tensor], config: TrainConfig) -> torch.optim.AdamW:
    """Make AdamW over parameters that may be stacked over models: its updates are elementwise."""
    return torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def epoch_batches(split: EncodedSplit, config: TrainConfig, seed: int) -> Iterator[list[Tensor]]:
    """Yield the batches of epoch after epoch, without end."""
    composition, order = generator(seed, "batches"), generator(config.order_seed, "order")
    while True:
        yield length_batches(split.lengths, config.batch_size, composition, order)
