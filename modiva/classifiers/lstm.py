"""A bidirectional LSTM classifier, written over time steps so that it stacks and clips exactly."""

import torch
from torch import nn

from modiva.classifiers.base import TargetClassifier
from modiva.classifiers.configuration import LstmConfig
from modiva.classifiers.recurrence import LstmRecurrence


class BidirectionalLayer(nn.Module):
    """One LSTM layer in both directions: two projections and two recurrences."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forward_projection = nn.Linear(input_size, 4 * hidden_size)
        self.forward_recurrence = LstmRecurrence(hidden_size)
        self.backward_projection = nn.Linear(input_size, 4 * hidden_size)
        self.backward_recurrence = LstmRecurrence(hidden_size)

    def forward(
        self, vectors: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the states of both directions: (B, T, D) -> two of (B, T, H)."""
        ahead = self.forward_recurrence(self.forward_projection(vectors), mask, False)
        back = self.backward_recurrence(self.backward_projection(vectors), mask, True)
        return ahead, back


class LstmEncoder(nn.Module):
    """Layers of bidirectional LSTM, then the maximum over time or the last states."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.pooling = config.pooling
        sizes = [config.input_size] + [2 * config.hidden_size] * (config.layers - 1)
        self.layers = nn.ModuleList(BidirectionalLayer(size, config.hidden_size) for size in sizes)
        self.dropout = nn.Dropout(config.encoder_dropout)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Pool word vectors (B, T, D) with mask (B, T) to (B, 2 * hidden_size)."""
        for layer in self.layers[:-1]:
            vectors = self.dropout(torch.cat(layer(vectors, mask), dim=-1))
        ahead, back = self.layers[-1](vectors, mask)
        states: torch.Tensor
        if self.pooling == "last":
            # Masked steps carry the state on: the last place holds the state after the last word.
            states = self.dropout(torch.cat((ahead[:, -1], back[:, 0]), dim=-1))
            return states
        states = self.dropout(torch.cat((ahead, back), dim=-1))  # (B, T, 2H)
        if mask is not None:
            # States are in (-1, 1) before dropout scales them: a floor below all, and finite where
            # a sentence has no word.
            floor = -1.0 / (1.0 - self.dropout.p)
            states = states.masked_fill(~mask.unsqueeze(-1), floor)
        return states.amax(dim=1)


class LstmClassifier(TargetClassifier):
    """Embeddings, bidirectional LSTM, pooling, linear head."""

    config_class = LstmConfig

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config, LstmEncoder(config), 2 * config.hidden_size)
