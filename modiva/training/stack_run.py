"""Steps, epochs and evaluation of models that train side by side."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from modiva.training.batches import EncodedSplit, EncodedSplits, chunks_of_tokens
from modiva.training.config import EpochRecord, TrainConfig, TrainResult
from modiva.training.evaluate import Evaluation
from modiva.training.stacked import ModelStack, StackedSplit
from modiva.training.steps import epoch_batches, make_optimizer
from modiva.training.stopping import EarlyStopping

logger = logging.getLogger(__name__)

TOKENS_A_CHUNK = 16384


class StackRun:
    """The state of a stack in training; lists are indexed by model, tensors by row."""

    def __init__(
        self,
        stack: ModelStack,
        splits: Sequence[EncodedSplits],
        config: TrainConfig,
        seeds: Sequence[int],
        progress: bool,
    ) -> None:
        self.stack, self.splits, self.config, self.progress = stack, splits, config, progress
        self.optimizer = make_optimizer(stack.trainable(), config)
        self.data = StackedSplit.of([split.train for split in splits])
        self.epochs = self.draw(seeds)
        self.columns = [_matrix(next(epochs)) for epochs in self.epochs]  # each (batches, B)
        self.position = [0] * len(splits)
        self.steps = [0] * len(splits)
        self.loss = torch.zeros(len(splits), device=self.data.ids.device)
        self.stopping = [EarlyStopping(config.patience) for _ in splits]
        self.history: list[list[EpochRecord]] = [[] for _ in splits]
        self.best: dict[int, dict[str, Tensor]] = {}

    def fit(self) -> None:
        """Step all running models together until none is left."""
        total = len(self.splits) * self.config.epochs
        with tqdm(total=total, desc="training", unit="epoch", disable=not self.progress) as bar:
            while self.stack.rows:
                self._step()
                ended = [m for m in self.stack.rows if self.position[m] == len(self.columns[m])]
                if ended:
                    finished = self._end_epoch(ended)
                    bar.update(len(ended))
                    if finished:
                        self._finish(finished)
                        left = sum(self.config.epochs - len(self.history[m]) for m in finished)
                        bar.total -= left
                        bar.refresh()

    def _step(self) -> None:
        running = self.stack.rows
        width = max(self.columns[m].shape[1] for m in running)
        columns = torch.full((len(running), width), -1)  # (m, B)
        for row, m in enumerate(running):
            batch = self.columns[m][self.position[m]]
            columns[row, : len(batch)] = batch
            self.position[m] += 1
            self.steps[m] += 1
        models = torch.tensor(running)
        self.loss[models.to(self.loss.device)] += self.update(models, columns)

    def draw(self, seeds: Sequence[int]) -> list[Iterator[list[Tensor]]]:
        """Return each model's epochs of batches, each batch (n,) indices."""
        return [
            epoch_batches(split.train, self.config, seed)
            for split, seed in zip(self.splits, seeds, strict=True)
        ]

    def update(self, models: Tensor, columns: Tensor) -> Tensor:
        """Take one step of each running model; returns the sums of their batches' losses (m,).

        Args:
            models: (m,), all that run.
            columns: (m, B), the sentences of their batches; shorter ones end in -1.
        """
        real = columns >= 0
        # Places left over repeat the batch's first sentence, of like length, with weight zero.
        columns = torch.where(real, columns, columns[:, :1])
        ids, mask, labels = self.data.take(models, columns)
        self.stack.skeleton.train()
        with torch.autocast(
            ids.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
        ):
            logits = self.stack.logits(ids, mask)  # (m, B, C)
        losses = cross_entropies(logits, labels)  # (m, B)
        weights = real.to(losses)
        sums = (losses * weights).sum(1)  # (m,)
        self.optimizer.zero_grad()
        (sums / weights.sum(1)).sum().backward()
        self.optimizer.step()
        return sums.detach()

    def _end_epoch(self, ended: list[int]) -> list[int]:
        """End the epoch of models, with a look at validation if it may stop them early.

        Returns:
            The models that have finished.
        """
        finished = []
        evaluations = self._validate(ended)
        for m, valid in zip(ended, evaluations, strict=True):
            epoch = len(self.history[m]) + 1
            train_loss = float(self.loss[m]) / max(int((self.columns[m] >= 0).sum()), 1)
            self.history[m].append(EpochRecord(epoch, train_loss, valid.loss, valid.accuracy))
            keep = self.stopping[m].update(epoch, valid.loss)
            done = self.stopping[m].stop or epoch == self.config.epochs
            if keep and (done or self.config.patience is not None):
                self.best[m] = self.stack.weights(self.stack.rows.index(m))
            if done:
                finished.append(m)
                continue
            self.loss[m] = 0
            self.position[m] = 0
            self.columns[m] = _matrix(next(self.epochs[m]))
        return finished

    def _finish(self, finished: list[int]) -> None:
        for m in finished:
            self.stack.put_back(m, self.best.pop(m))
        rows = [row for row, m in enumerate(self.stack.rows) if m not in finished]
        self.stack.keep(rows, self.optimizer)

    def _validate(self, models: list[int]) -> list[Evaluation]:
        """Evaluate running models together, each on its own validation split, if it is watched."""
        if self.config.patience is None:
            return [Evaluation(None, None)] * len(models)
        splits = [self.splits[m].valid for m in models]
        rows = torch.tensor([self.stack.rows.index(m) for m in models])
        return evaluate_stack(self.stack, rows, splits)

    def results(self, seconds: float) -> list[TrainResult]:
        """Return one result per model, with its own weights put back."""
        final = type(self.stack)(self.stack.models)
        rows = torch.arange(len(self.splits))
        parts = {
            name: evaluate_stack(final, rows, [getattr(split, name) for split in self.splits])
            for name in ("train", "valid", "test")
        }
        logger.info("trained a stack of %d models in %.1f s", len(self.splits), seconds)
        return [
            TrainResult(
                test_accuracy=parts["test"][m].accuracy,
                valid_accuracy=parts["valid"][m].accuracy,
                train_accuracy=parts["train"][m].accuracy or 0.0,
                majority_accuracy=split.majority_accuracy,
                epochs_run=len(self.history[m]),
                best_epoch=self.stopping[m].best_epoch,
                steps=self.steps[m],
                history=tuple(self.history[m]),
                seconds=seconds / len(self.splits),
                **self.privacy(m),
            )
            for m, split in enumerate(self.splits)
        ]

    def privacy(self, model: int) -> dict[str, Any]:
        """Return the fields of a model's `TrainResult` that private training has: none."""
        return {}


@torch.no_grad()
def evaluate_stack(
    stack: ModelStack, rows: Tensor, splits: Sequence[EncodedSplit]
) -> list[Evaluation]:
    """Evaluate some rows of a stack, each on its own split, in evaluation mode."""
    stack.skeleton.eval()
    data = StackedSplit.of(splits)
    models = torch.arange(len(splits))
    # Each model's sentences by length, its missing ones first: column by column of like length.
    ranked = torch.argsort(data.lengths, dim=1, stable=True)  # (m, N)
    longest = data.lengths.gather(1, ranked).amax(0)  # (N,)
    loss = torch.zeros(len(splits), device=data.ids.device)
    hits = torch.zeros_like(loss)
    tokens = TOKENS_A_CHUNK // len(splits)
    for part in chunks_of_tokens(longest, torch.arange(len(longest)), tokens):
        columns = ranked[:, part]  # (m, B)
        real = (columns < data.sizes[:, None]).to(loss)
        ids, mask, labels = data.take(models, columns)
        logits = stack.logits(ids, mask, rows).float()  # (m, B, C)
        loss += (cross_entropies(logits, labels) * real).sum(1)
        hits += ((logits.argmax(-1) == labels) * real).sum(1)
    return [
        Evaluation(float(loss[m]) / size, float(hits[m]) / size) if size else Evaluation(None, None)
        for m, size in enumerate(data.sizes.tolist())
    ]


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of every sentence: logits (m, B, C), labels (m, B) -> (m, B)."""
    flat = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
    return flat.view_as(labels)


def _matrix(batches: list[Tensor]) -> Tensor:
    """Return batches as rows (batches, B); a batch one short ends in -1."""
    return torch.nn.utils.rnn.pad_sequence(batches, batch_first=True, padding_value=-1)
