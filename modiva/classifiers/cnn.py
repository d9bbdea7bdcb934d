"""A convolutional sentence classifier whose convolutions are linear layers over windows."""

import torch
from torch import nn
from torch.nn import functional as F

from modiva.classifiers.base import TargetClassifier
from modiva.classifiers.configuration import CnnConfig
from modiva.classifiers.pooling import filtered_maximum
from modiva.classifiers.windows import shifted_windows, window_start


class CnnEncoder(nn.Module):
    """Filters of several widths, then the maximum over time. Source: Kim 2014 (arXiv 1408.5882).

    `fused` computes all widths in one product, which is faster where models are stacked. Clipping
    needs the layers one by one, and dropout of features comes before their maximum.
    """

    fused = False

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.input_size = config.input_size
        self.kernel_sizes = tuple(config.kernel_sizes)
        self.convolutions = nn.ModuleList(
            nn.Linear(size * config.input_size, config.hidden_size) for size in self.kernel_sizes
        )
        self.dropout = nn.Dropout(config.encoder_dropout)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Pool word vectors (B, T, D) with mask (B, T) to (B, kernels * hidden_size)."""
        padding = None if mask is None else ~mask.unsqueeze(-1)  # (B, T, 1)
        if padding is not None:
            vectors = vectors.masked_fill(padding, 0.0)
        if self.fused and not (self.training and self.dropout.p):
            return self._forward_fused(vectors, padding)
        widest = max(self.kernel_sizes)
        windows = shifted_windows(vectors, widest)  # (B, T, widest * D)
        pooled = []
        for size, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            # A narrower window is a part of the widest one: nothing is copied twice.
            start = window_start(size, widest)
            part = windows.narrow(-1, start * self.input_size, size * self.input_size)
            features = self.dropout(convolution(part))  # (B, T, H)
            if padding is not None:
                # Zero is neutral under the maximum because relu follows it.
                features = features.masked_fill(padding, 0.0)
            pooled.append(features.amax(dim=1).relu())
        return torch.cat(pooled, dim=-1)

    def _forward_fused(self, vectors: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        """Compute `forward` with narrower filters filled up with zeros to the widest."""
        widest = max(self.kernel_sizes)
        weights: list[torch.Tensor] = []
        biases: list[torch.Tensor] = []
        for size, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            before = window_start(size, widest)
            after = widest - size - before
            assert isinstance(convolution, nn.Linear)
            weights.append(
                F.pad(convolution.weight, (before * self.input_size, after * self.input_size))
            )
            biases.append(convolution.bias)
        if padding is None:
            padding = torch.zeros_like(vectors[..., :1], dtype=torch.bool)
        # A bias is the same at all times, so that it can wait for the maximum.
        pooled = filtered_maximum(vectors, padding, torch.cat(weights))
        return (pooled + torch.cat(biases)).relu()


class CnnClassifier(TargetClassifier):
    """Embeddings, convolutions of several widths, maximum over time, linear head."""

    config_class = CnnConfig

    def __init__(self, config: CnnConfig) -> None:
        pooled_size = len(config.kernel_sizes) * config.hidden_size
        super().__init__(config, CnnEncoder(config), pooled_size)
