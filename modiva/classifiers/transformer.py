"""A small transformer encoder classifier of plain linear layers, with pads masked everywhere."""

import torch
from torch import nn

from modiva.classifiers.base import TargetClassifier
from modiva.classifiers.configuration import TransformerConfig


class SelfAttention(nn.Module):
    """Multi-head self-attention in four linear layers. Source: Vaswani et al. 2017, sec. 3.2."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.encoder_dropout)

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Mix states (B, T, H) over the time steps that mask (B, T) keeps."""
        query, key, value = (
            layer(states)
            .unflatten(-1, (self.heads, -1))
            .transpose(1, 2)  # (B, heads, T, H / heads)
            for layer in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # (B, heads, T, T)
        if mask is not None:
            # A finite floor: a sentence without words stays finite too.
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        mixed = self.dropout(scores.softmax(dim=-1)) @ value  # (B, heads, T, H / heads)
        attended: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended


class EncoderLayer(nn.Module):
    """Attention and a two-layer network, each normalised before and added to its input."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.attention = SelfAttention(config)
        self.network_norm = nn.LayerNorm(config.hidden_size)
        self.expand = nn.Linear(config.hidden_size, 4 * config.hidden_size)
        self.contract = nn.Linear(4 * config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.encoder_dropout)

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Transform states (B, T, H)."""
        states = states + self.dropout(self.attention(self.attention_norm(states), mask))
        hidden = torch.nn.functional.gelu(self.expand(self.network_norm(states)))
        states = states + self.dropout(self.contract(hidden))
        return states


class TransformerEncoder(nn.Module):
    """Positions added to projected word vectors, encoder layers, mean over the words."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.max_positions = config.max_positions
        self.projection = nn.Linear(config.input_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_positions, config.hidden_size)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Pool word vectors (B, T, D) with mask (B, T) to (B, H).

        Raises:
            ValueError: when T exceeds the positions that the model has.
        """
        batch, length = vectors.shape[:2]
        if length > self.max_positions:
            raise ValueError(
                f"a sentence of {length} tokens exceeds the {self.max_positions} positions of this "
                "model: cut it"
            )
        # Expanded to the batch, so that the gradient of a position is known for each example.
        positions = torch.arange(length, device=vectors.device).expand(batch, length)
        states: torch.Tensor = self.projection(vectors) + self.positions(positions)  # (B, T, H)
        for layer in self.layers:
            states = layer(states, mask)
        states = self.norm(states)
        if mask is None:
            return states.mean(dim=1)
        weight = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
        return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


class TransformerClassifier(TargetClassifier):
    """Embeddings, transformer encoder, mean over the words, linear head."""

    config_class = TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config, TransformerEncoder(config), config.hidden_size)
