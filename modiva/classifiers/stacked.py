"""Layers of several models of one architecture as one layer: their products in one batch.

A stacked layer holds the weights (M, ...) of M models and takes the examples of all models as one
batch (N, ...): the N / M examples of the first model, then those of the second, and so on. What
lies between layers works on single examples and is used as it is.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from modiva.classifiers.cnn import CnnEncoder
from modiva.classifiers.embedding import CharacterCnn
from modiva.classifiers.recurrence import LstmRecurrence
from modiva.classifiers.windows import shifted_windows, window_start


class Layer:
    """What has weights of several models."""

    weight: nn.Parameter  # (M, ...)

    @property
    def models(self) -> int:
        """The number of models."""
        return len(self.weight)


class Linear(Layer, nn.Module):
    """Apply the `nn.Linear` of each model to its own examples."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([layer.weight for layer in layers])  # (M, out, in)
        biases = [layer.bias for layer in layers]
        self.bias = None if biases[0] is None else _stacked_parameter(biases)  # (M, out)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, ..., in) to (N, ..., out)."""
        return _affine(inputs, self.weight, self.bias)


class Embedding(Layer, nn.Module):
    """Look up the ids of each model in its own `nn.Embedding`."""

    def __init__(self, layers: Sequence[nn.Embedding]) -> None:
        super().__init__()
        self.padding_idx = layers[0].padding_idx
        self.weight = _stacked_parameter([layer.weight for layer in layers])  # (M, V, D)

    def forward(self, ids: Tensor) -> Tensor:
        """Give the vectors of ids: (N, ...) -> (N, ..., D)."""
        return F.embedding(self.rows(ids), self.weight.flatten(0, 1))

    def rows(self, ids: Tensor) -> Tensor:
        """Return where the ids of each model stand in the tables of all, one below the other."""
        models, size = self.weight.shape[:2]
        first = size * torch.arange(models, device=ids.device)
        return (ids.reshape(models, -1) + first[:, None]).view(ids.shape)


class LayerNorm(Layer, nn.Module):
    """Normalise, then scale and shift by the `nn.LayerNorm` of each model."""

    def __init__(self, layers: Sequence[nn.LayerNorm]) -> None:
        super().__init__()
        self.normalized_shape, self.eps = layers[0].normalized_shape, layers[0].eps
        self.weight = _stacked_parameter([layer.weight for layer in layers])  # (M, *D)
        self.bias = _stacked_parameter([layer.bias for layer in layers])  # (M, *D)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise (N, T, *D) over D."""
        normal = F.layer_norm(inputs, self.normalized_shape, eps=self.eps)
        own = normal.unflatten(0, (self.models, -1)).flatten(1, 2)  # (M, N / M * T, *D)
        return torch.addcmul(self.bias[:, None], own, self.weight[:, None]).view_as(inputs)


class Recurrence(Layer, LstmRecurrence):
    """Run the `LstmRecurrence` of each model over its own examples."""

    def __init__(self, layers: Sequence[LstmRecurrence]) -> None:
        nn.Module.__init__(self)
        self.hidden_size = layers[0].hidden_size
        self.weight = _stacked_parameter([layer.weight for layer in layers])  # (M, 4H, H)

    def forward(self, x_proj: Tensor, mask: Tensor | None = None, reverse: bool = False) -> Tensor:
        """Give the states over time: (N, T, 4H) -> (N, T, H)."""
        parts = (self.models, -1)
        own = None if mask is None else mask.unflatten(0, parts)
        return super().forward(x_proj.unflatten(0, parts), own, reverse).flatten(0, 1)


class Filters(Layer, nn.Module):
    """Filters of several widths as one product, for a maximum over time that takes one place.

    Narrow filters are filled up with zeros to the widest. Clipping relies on the gradient that the
    maximum gives: each filter of an example has one at a single place.
    """

    def __init__(self, lists: Sequence[nn.ModuleList], input_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.layers = [Linear(layers) for layers in zip(*lists, strict=True)]
        for number, layer in enumerate(self.layers):
            self.add_module(str(number), layer)  # parameters keep their names
        self.widths = tuple(layer.weight.shape[-1] // input_size for layer in self.layers)

    @property
    def models(self) -> int:
        """The number of models."""
        return self.layers[0].models

    @property
    def widest(self) -> int:
        """The width of the windows, in vectors."""
        return max(self.widths)

    def start(self, width: int) -> int:
        """Return where the windows of a narrower filter start in the widest, in vectors."""
        return window_start(width, self.widest)

    def forward(self, windows: Tensor) -> Tensor:
        """Give the responses of all filters to windows: (N, T, widest * D) -> (N, T, F)."""
        weights = []
        for width, layer in zip(self.widths, self.layers, strict=True):
            before = self.start(width)
            after = self.widest - width - before
            weights.append(F.pad(layer.weight, (before * self.input_size, after * self.input_size)))
        biases = torch.cat(
            [layer.bias for layer in self.layers if layer.bias is not None], dim=1
        )  # (M, F)
        return _affine(windows, torch.cat(weights, dim=1), biases)


class Cnn(nn.Module):
    """Run the `CnnEncoder` of each model over its own examples."""

    def __init__(self, encoders: Sequence[CnnEncoder]) -> None:
        super().__init__()
        lists = [encoder.convolutions for encoder in encoders]
        self.convolutions = Filters(lists, encoders[0].input_size)
        self.dropout = copy.deepcopy(encoders[0].dropout)

    def forward(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        """Pool word vectors (N, T, D) with mask (N, T) to (N, F)."""
        padding = None if mask is None else ~mask.unsqueeze(-1)  # (N, T, 1)
        if padding is not None:
            vectors = vectors.masked_fill(padding, 0.0)
        windows = shifted_windows(vectors, self.convolutions.widest)  # (N, T, widest * D)
        features = self.dropout(self.convolutions(windows))  # (N, T, F)
        if padding is not None:
            # Zero is neutral under the maximum because relu follows it.
            features = features.masked_fill(padding, 0.0)
        pooled: Tensor = features.max(dim=1).values.relu()
        return pooled


class Characters(CharacterCnn):
    """Give the features of words by the `CharacterCnn` of each model."""

    def __init__(self, layers: Sequence[CharacterCnn]) -> None:
        nn.Module.__init__(self)
        self.kernel_size = layers[0].kernel_size
        self.register_buffer("table", stack_rows([layer.table for layer in layers]))  # (M, V, L)
        self.add_module("embedding", Embedding([layer.embedding for layer in layers]))
        self.add_module("convolution", Linear([layer.convolution for layer in layers]))

    def spelling(self, ids: Tensor) -> Tensor:
        """Return the characters of words, each model's by its own table."""
        models = torch.arange(len(self.table), device=ids.device)[:, None]
        return self.table[models, ids.reshape(len(self.table), -1)].view(*ids.shape, -1)


_LAYERS: Mapping[type[nn.Module], Callable[[Any], nn.Module]] = MappingProxyType(
    {
        nn.Linear: Linear,
        nn.Embedding: Embedding,
        nn.LayerNorm: LayerNorm,
        LstmRecurrence: Recurrence,
        CnnEncoder: Cnn,
        CharacterCnn: Characters,
    }
)


def can_stack(model: nn.Module) -> bool:
    """Return whether every layer of a model with weights of its own has a stacked form."""
    if type(model) in _LAYERS:
        return True
    tensors = [*model.parameters(recurse=False), *model.buffers(recurse=False)]
    return not tensors and all(can_stack(child) for child in model.children())


def stack_models(models: Sequence[nn.Module]) -> nn.Module:
    """Return one model for the examples of all of `models`, with a copy of their weights.

    Args:
        models: of one architecture and size, for which `can_stack` holds; names of parameters stay.
            Lookup tables may differ in their number of rows.
    """
    make = _LAYERS.get(type(models[0]))
    if make is not None:
        return make(models)
    merged = copy.deepcopy(models[0])
    for name, _ in models[0].named_children():
        children = [model.get_submodule(name) for model in models]
        setattr(merged, name, stack_models(children))
    return merged


def fuse(model: nn.Module) -> None:
    """Let a model compute convolutions of several widths in one product (`CnnEncoder`)."""
    for part in model.modules():
        if isinstance(part, CnnEncoder):
            part.fused = True


def stack_rows(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors (n_i, ...) to (M, max n, ...), filled up with zeros."""
    first = tensors[0].detach()
    if all(tensor.shape == first.shape for tensor in tensors):
        return torch.stack([tensor.detach() for tensor in tensors])
    return pad_sequence([tensor.detach() for tensor in tensors], batch_first=True)


def _stacked_parameter(parameters: Sequence[Tensor]) -> nn.Parameter:
    return nn.Parameter(stack_rows(parameters), requires_grad=parameters[0].requires_grad)


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Map inputs (N, ..., in) by weights (M, out, in) and biases (M, out) to (N, ..., out)."""
    own = inputs.reshape(len(weight), -1, inputs.shape[-1])  # (M, N / M * T, in)
    found = own @ weight.mT if bias is None else torch.baddbmm(bias[:, None], own, weight.mT)
    return found.view(*inputs.shape[:-1], -1)
