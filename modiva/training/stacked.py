"""Models of one architecture as one: their weights stacked, their forward pass vectorised.

Everything has a leading dimension M of models. Gradients do not mix, since each model's loss
depends on its own slice of the stacked weights only, and AdamW is elementwise.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modiva.classifiers import stacked
from modiva.errors import ModivaError
from modiva.training.batches import EncodedSplit

# Tables with one row per word, of models of our own architectures: vectors, and spellings.
VOCABULARY_TABLES = ("embedding.words.weight", "embedding.characters.table")


@dataclass(frozen=True)
class StackedSplit:
    """One split of each of M models: ids (M, N, T), lengths (M, N), labels (M, N), sizes (M,).

    Splits shorter than N are filled up with empty sentences that no batch takes.
    """

    ids: Tensor
    lengths: Tensor
    labels: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, splits: Sequence[EncodedSplit]) -> "StackedSplit":
        """Stack splits that may differ in size and in their longest sentence."""
        device = splits[0].ids.device
        n = max(len(split) for split in splits)
        longest = max(split.ids.shape[1] for split in splits)
        ids = torch.zeros(len(splits), n, longest, dtype=torch.long, device=device)
        lengths = torch.zeros(len(splits), n, dtype=torch.long)
        labels = torch.zeros(len(splits), n, dtype=torch.long, device=device)
        for row, split in enumerate(splits):
            ids[row, : len(split), : split.ids.shape[1]] = split.ids
            lengths[row, : len(split)] = split.lengths
            labels[row, : len(split)] = split.labels
        return cls(ids, lengths, labels, torch.tensor([len(split) for split in splits]))

    def take(
        self, models: Tensor, columns: Tensor, real: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ids (m, B, T), mask (m, B, T), labels (m, B) of sentences `columns` of `models`.

        Args:
            models: (m,) which models.
            columns: (m, B) which sentences of each.
            real: (m, B) bool, False for places that are left empty.
        """
        lengths = self.lengths[models[:, None], columns]  # (m, B)
        if real is not None:
            lengths = lengths * real
        longest = max(int(lengths.max()), 1)
        mask = torch.arange(longest) < lengths[..., None]  # (m, B, T)
        device = self.ids.device
        models, columns = models.to(device)[:, None], columns.to(device)
        ids = self.ids[:, :, :longest][models, columns]  # (m, B, T)
        return ids, mask.to(device, torch.long), self.labels[models, columns]


class ModelStack:
    """The stacked weights of models of one architecture and size; rows can be dropped.

    Lookup tables (embeddings, spellings) may have different numbers of rows, since every model has
    the vocabulary of its own sentences: the stack fills them up with zeros, which no id points at.

    Args:
        models: of one architecture and size.
        rows: (U,) of the vocabulary's tables that ids point at, as numbers from 0 to U - 1; None
            takes all. Weights can then not be put back into the models.

    Raises:
        ModivaError: the models' weights differ otherwise, or in what is frozen.
    """

    def __init__(self, models: Sequence[nn.Module], rows: Tensor | None = None) -> None:
        self.models = list(models)
        self.rows = list(range(len(models)))
        check_alike(self.models)
        self.skeleton = copy.deepcopy(models[0])
        stacked.fuse(self.skeleton)
        parameters = [dict(model.named_parameters()) for model in models]
        buffers = [dict(model.named_buffers()) for model in models]
        if rows is not None:
            words, spellings = VOCABULARY_TABLES
            parameters = [own | {words: _rows(own[words], rows)} for own in parameters]
            buffers = [
                {n: _rows(v, rows) if n == spellings else v for n, v in own.items()}
                for own in buffers
            ]
        self.parameters = {
            name: stacked.stack_rows([own[name] for own in parameters]).requires_grad_(
                first.requires_grad
            )
            for name, first in parameters[0].items()
        }
        self.buffers = {
            name: stacked.stack_rows([own[name] for own in buffers]) for name in buffers[0]
        }
        self._forward: Any = torch.func.vmap(self._one, randomness="different")

    def _one(self, state: Any, ids: Tensor, mask: Tensor) -> Tensor:
        inputs = {"input_ids": ids, "attention_mask": mask}
        output = torch.func.functional_call(self.skeleton, state, (), inputs)
        logits: Tensor = output.logits
        return logits

    def trainable(self) -> list[Tensor]:
        """Return the stacked parameters that are not frozen, each (m, ...)."""
        return [value for value in self.parameters.values() if value.requires_grad]

    def logits(self, ids: Tensor, mask: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return logits (m, B, C) for ids and mask (m, B, T), of some rows or of all."""
        state: tuple[dict[str, Tensor], ...] = (self.parameters, self.buffers)
        if rows is not None and len(rows) < len(self.rows):
            state = tuple({k: v[rows] for k, v in part.items()} for part in state)
        logits: Tensor = self._forward(state, ids, mask)
        return logits

    def weights(self, row: int) -> dict[str, Tensor]:
        """Return a copy of one row's weights, by the names of a state dict."""
        both = {**self.parameters, **self.buffers}
        return {name: value[row].detach().clone() for name, value in both.items()}

    @torch.no_grad()
    def put_back(self, model: int, weights: dict[str, Tensor]) -> None:
        """Copy weights into the model they belong to, without the rows that filled it up."""
        own = self.models[model]
        for name, value in (*own.named_parameters(), *own.named_buffers()):
            value.copy_(weights[name][: len(value)] if value.dim() else weights[name])

    def keep_first(self, count: int) -> None:
        """Drop all rows but the first ones, where no optimiser has moments of them."""
        self.rows = self.rows[:count]
        self.buffers = {name: value[:count] for name, value in self.buffers.items()}
        for name, old in self.parameters.items():
            self.parameters[name] = old.detach()[:count].requires_grad_(old.requires_grad)

    def keep(self, rows: list[int], optimizer: torch.optim.Optimizer) -> None:
        """Drop all other rows, from the weights and from the optimiser's moments."""
        index = torch.tensor(rows, dtype=torch.long)
        self.rows = [self.rows[row] for row in rows]
        self.buffers = {name: value[index] for name, value in self.buffers.items()}
        group = optimizer.param_groups[0]
        group["params"] = []
        for name, old in self.parameters.items():
            new = old.detach()[index].requires_grad_(old.requires_grad)
            self.parameters[name] = new
            if not old.requires_grad:
                continue
            group["params"].append(new)
            state = optimizer.state.pop(old)
            optimizer.state[new] = {
                key: value[index] if value.shape == old.shape else value
                for key, value in state.items()
            }


def _rows(table: Tensor, rows: Tensor) -> Any:
    """Return some rows of a table, trained or not as the table is."""
    return table.detach()[rows].requires_grad_(table.requires_grad)


def check_alike(models: Sequence[nn.Module]) -> None:
    """Refuse models that cannot be stacked.

    Raises:
        ModivaError: weights that differ in shape or in what is frozen.
    """
    shapes = [_shapes(model) for model in models]
    for row, shape in enumerate(shapes):
        different = sorted(name for name, _ in set(shape.items()) ^ set(shapes[0].items()))
        if different:
            raise ModivaError(
                f"models 0 and {row} of a stack differ in {different[0]!r}: give all the same "
                "architecture, sizes and intents, and freeze the same parts"
            )


def _shapes(model: nn.Module) -> dict[str, tuple[Any, ...]]:
    """Return what all models of a stack must share: all shapes but the rows of lookup tables."""
    tables = {
        f"{name}.weight" for name, part in model.named_modules() if isinstance(part, nn.Embedding)
    }
    shapes: dict[str, tuple[Any, ...]] = {
        name: (value.requires_grad, *value.shape[name in tables :])
        for name, value in model.named_parameters()
    }
    return shapes | {name: tuple(value.shape[1:]) for name, value in model.named_buffers()}
