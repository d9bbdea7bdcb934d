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

from modiva.errors import ModivaError
from modiva.training.batches import EncodedSplit


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

    def take(self, models: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (m, B, T), mask (m, B, T) and labels (m, B) of sentences `columns` of `models`.

        Args:
            models: (m,) which models.
            columns: (m, B) which sentences of each.
        """
        lengths = self.lengths[models[:, None], columns]  # (m, B)
        longest = max(int(lengths.max()), 1)
        mask = torch.arange(longest) < lengths[..., None]  # (m, B, T)
        device = self.ids.device
        models, columns = models.to(device)[:, None], columns.to(device)
        ids = self.ids[:, :, :longest][models, columns]  # (m, B, T)
        return ids, mask.to(device, torch.long), self.labels[models, columns]


class ModelStack:
    """The stacked weights of models of one architecture and size; rows can be dropped.

    Raises:
        ModivaError: the models' weights differ in names or shapes.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        shapes = [_shapes(model) for model in models]
        for row, shape in enumerate(shapes):
            different = sorted(set(shape.items()) ^ set(shapes[0].items()))
            if different:
                raise ModivaError(
                    f"models 0 and {row} of a stack differ in {different[0][0]!r}: give all the "
                    "same architecture, sizes, intents and vocabulary (extra_words evens it out)"
                )
        self.models = list(models)
        self.rows = list(range(len(models)))
        self.skeleton = copy.deepcopy(models[0])
        self.parameters, self.buffers = torch.func.stack_module_state(self.models)
        self._forward: Any = torch.func.vmap(self._one, randomness="different")

    def _one(self, state: Any, ids: Tensor, mask: Tensor) -> Tensor:
        inputs = {"input_ids": ids, "attention_mask": mask}
        output = torch.func.functional_call(self.skeleton, state, (), inputs)
        return output.logits

    def trainable(self) -> list[nn.Parameter]:
        """The stacked parameters that are not frozen, each (m, ...)."""
        return [value for value in self.parameters.values() if value.requires_grad]

    def logits(self, ids: Tensor, mask: Tensor, rows: Tensor | None = None) -> Tensor:
        """Logits (m, B, C) for ids and mask (m, B, T), of some rows or of all."""
        state = (self.parameters, self.buffers)
        if rows is not None and len(rows) < len(self.rows):
            state = tuple({k: v[rows] for k, v in part.items()} for part in state)
        return self._forward(state, ids, mask)

    def weights(self, row: int) -> dict[str, Tensor]:
        """A copy of one row's weights, by the names of a state dict."""
        both = {**self.parameters, **self.buffers}
        return {name: value[row].detach().clone() for name, value in both.items()}

    def put_back(self, model: int, weights: dict[str, Tensor]) -> None:
        """Load weights into the model they belong to."""
        # Not strict: buffers that a checkpoint leaves out are no part of the state dict.
        self.models[model].load_state_dict(weights, strict=False)

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


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}
