"""Configurations of modiva's own classifiers, in the form that Hugging Face's Auto classes find."""

from typing import Any

from transformers import PretrainedConfig

PAD_ID = 0
UNKNOWN_ID = 1
POOLINGS = ("max", "last")


class TargetConfig(PretrainedConfig):
    """Sizes, dropout and label names that all of modiva's own classifiers share.

    Args:
        vocab_size: number of words, padding and unknown included.
        embedding_dim: size of a word embedding.
        hidden_size: filters per kernel size (CNN), units per direction (LSTM), or model width
            (transformer).
        layers: encoder layers (unused by the CNN).
        pooling: "max" over time or "last" state (LSTM only).
        embedding_dropout: share of input features dropped.
        encoder_dropout: share of encoder features dropped, at every time step.
        head_dropout: share of the pooled sentence vector dropped.
        freeze_embeddings: keep the word embedding table as it was initialised.
        char_embeddings: append the features of a character CNN to the word embedding.
        characters: number of distinct characters, padding and unknown included.
        characters_per_word: characters of a word that the character CNN reads.
        char_embedding_dim: size of a character embedding.
        char_filters: features of a word that the character CNN makes.
        char_kernel_size: width of the character CNN's filters.

    Raises:
        ValueError: an unknown pooling.
    """

    def __init__(
        self,
        *,
        vocab_size: int = 2,
        embedding_dim: int = 100,
        hidden_size: int = 100,
        layers: int = 1,
        pooling: str = "max",
        embedding_dropout: float = 0.0,
        encoder_dropout: float = 0.0,
        head_dropout: float = 0.0,
        freeze_embeddings: bool = False,
        char_embeddings: bool = False,
        characters: int = 2,
        characters_per_word: int = 12,
        char_embedding_dim: int = 16,
        char_filters: int = 50,
        char_kernel_size: int = 3,
        **kwargs: Any,
    ) -> None:
        if pooling not in POOLINGS:
            raise ValueError(f"unknown pooling {pooling!r}: it is one of {', '.join(POOLINGS)}")
        self.vocab_size = vocab_size
        self.embedding_dim = embedding_dim
        self.hidden_size = hidden_size
        self.layers = layers
        self.pooling = pooling
        self.embedding_dropout = embedding_dropout
        self.encoder_dropout = encoder_dropout
        self.head_dropout = head_dropout
        self.freeze_embeddings = freeze_embeddings
        self.char_embeddings = char_embeddings
        self.characters = characters
        self.characters_per_word = characters_per_word
        self.char_embedding_dim = char_embedding_dim
        self.char_filters = char_filters
        self.char_kernel_size = char_kernel_size
        kwargs.setdefault("pad_token_id", PAD_ID)
        super().__init__(**kwargs)

    @property
    def input_size(self) -> int:
        """Size of the one input vector of a word."""
        return self.embedding_dim + (self.char_filters if self.char_embeddings else 0)


# The empty-looking constructors below are needed: transformers 5 makes every configuration class a
# dataclass, which would replace an inherited constructor by one with the base fields only.


class CnnConfig(TargetConfig):
    """Configuration of `CnnClassifier`."""

    model_type = "modiva-cnn"

    def __init__(self, *, kernel_sizes: tuple[int, ...] = (3, 4, 5), **kwargs: Any) -> None:
        self.kernel_sizes = list(kernel_sizes)
        super().__init__(**kwargs)


class LstmConfig(TargetConfig):
    """Configuration of `LstmClassifier`."""

    model_type = "modiva-lstm"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class TransformerConfig(TargetConfig):
    """Configuration of `TransformerClassifier`."""

    model_type = "modiva-transformer"

    def __init__(self, *, heads: int = 2, max_positions: int = 128, **kwargs: Any) -> None:
        self.heads = heads
        self.max_positions = max_positions
        super().__init__(**kwargs)
