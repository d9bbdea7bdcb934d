"""Models of one architecture as one by stacked layers, whose calls clipping can follow."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from modiva.classifiers import stacked
from modiva.training.stacked import ModelStack, check_alike


class LayerStack(ModelStack):
    """A stack whose layers all have a stacked form (`modiva.classifiers.stacked`).

    Parameters are those of the skeleton and stay the same objects when rows are dropped.

    Raises:
        ModivaError: see `ModelStack`.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.models = list(models)
        self.rows = list(range(len(models)))
        check_alike(self.models)
        self.skeleton = stacked.stack_models(self.models)
        self.parameters = dict(self.skeleton.named_parameters())
        self.buffers = dict(self.skeleton.named_buffers())

    def logits(self, ids: Tensor, mask: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return logits (m, B, C) for ids and mask (m, B, T), of some rows or of all."""
        inputs = {"input_ids": ids.flatten(0, 1), "attention_mask": mask.flatten(0, 1)}
        state = {}
        if rows is not None and len(rows) < len(self.rows):
            state = {k: v[rows] for k, v in (*self.parameters.items(), *self.buffers.items())}
        output = torch.func.functional_call(self.skeleton, state, (), inputs)
        logits: Tensor = output.logits.unflatten(0, (len(ids), -1))
        return logits

    def own_gradients(self, row: int) -> list[Tensor]:
        """Return the parts of the gradients that are of one row's model, in its order."""
        own = dict(self.models[self.rows[row]].named_parameters())
        return [
            parameter.grad[row][: len(own[name])]
            for name, parameter in self.parameters.items()
            if parameter.grad is not None
        ]

    @torch.no_grad()
    def keep(self, rows: list[int], optimizer: torch.optim.Optimizer) -> None:
        """Drop all other rows, from the weights and from the optimiser's moments."""
        index = torch.tensor(rows, dtype=torch.long)
        self.rows = [self.rows[row] for row in rows]
        for buffer in self.buffers.values():
            buffer.data = buffer[index]
        for parameter in self.parameters.values():
            for key, value in optimizer.state.get(parameter, {}).items():
                if value.shape == parameter.shape:
                    optimizer.state[parameter][key] = value[index]
            parameter.grad = None
            parameter.data = parameter[index]
