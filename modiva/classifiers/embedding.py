"""The one input vector of a word: its embedding, and beside it the features of its characters."""

import torch
from torch import nn

from modiva.classifiers.configuration import PAD_ID, TargetConfig
from modiva.classifiers.windows import shifted_windows


class CharacterCnn(nn.Module):
    """Features of a word from its spelling: a convolution over its characters, then the maximum.

    The spelling of every word of the vocabulary is a buffer of the model, so that a checkpoint
    needs nothing but itself to compute its inputs.
    Source: Kim et al. 2016 (arXiv 1508.06615), section 2.
    """

    table: torch.Tensor

    def __init__(self, config: TargetConfig) -> None:
        super().__init__()
        spellings = torch.zeros(config.vocab_size, config.characters_per_word, dtype=torch.int32)
        self.register_buffer("table", spellings)  # (V, L)
        self.kernel_size = config.char_kernel_size
        size = config.char_embedding_dim
        self.embedding = nn.Embedding(config.characters, size, padding_idx=PAD_ID)
        self.convolution = nn.Linear(config.char_kernel_size * size, config.char_filters)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Give the features of words: ids (B, ...) -> (B, ..., char_filters)."""
        characters = self.spelling(ids)  # (B, ..., L)
        # The layers see (B, everything, features): the first dimension stays the example's, which
        # per-example clipping relies on.
        flat = characters.reshape(ids.shape[0], -1)  # (B, S), S = words * L
        vectors = self.embedding(flat).unflatten(1, (-1, characters.shape[-1]))  # (B, W, L, C)
        padding = flat.eq(PAD_ID).unflatten(1, vectors.shape[1:3]).unsqueeze(-1)  # (B, W, L, 1)
        # The padding row is zero already; this keeps it so where padding_idx is not honoured when
        # gradients are taken, as under vmap.
        vectors = vectors.masked_fill(padding, 0.0)
        windows = shifted_windows(vectors, self.kernel_size)  # (B, W, L, k * C)
        features = self.convolution(windows.flatten(1, 2)).unflatten(1, windows.shape[1:3])
        # Zero is neutral under the maximum because relu follows it. pooled: (B, W, char_filters)
        pooled: torch.Tensor = features.masked_fill(padding, 0.0).amax(dim=2).relu()
        return pooled.reshape(*ids.shape, -1)

    def spelling(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the characters of words: ids (B, ...) -> (B, ..., L)."""
        return self.table[ids]


class InputEmbedding(nn.Module):
    """Word embedding with, if configured, character features concatenated."""

    def __init__(self, config: TargetConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, config.embedding_dim, padding_idx=PAD_ID)
        self.words.weight.requires_grad_(not config.freeze_embeddings)
        self.characters = CharacterCnn(config) if config.char_embeddings else None

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Give the input vectors of words: ids (B, ...) -> (B, ..., input_size)."""
        vectors: torch.Tensor = self.words(ids)
        if self.characters is None:
            return vectors
        return torch.cat((vectors, self.characters(ids)), dim=-1)
