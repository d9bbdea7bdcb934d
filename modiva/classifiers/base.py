"""What modiva's own classifiers share: inputs by id or by vector, masks, the head, the loss."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from modiva.classifiers.configuration import PAD_ID, TargetConfig
from modiva.classifiers.embedding import InputEmbedding


class TargetClassifier(PreTrainedModel):
    """A sentence classifier that is a function of its word vectors: embed, encode, pool, classify.

    Subclasses give `encode`. Logits do not depend on padding, nothing depends on values in a way
    that `torch.func.vmap` over stacked weights could not follow, and every parameter sits in a leaf
    module that is called once a forward, which is what exact per-example clipping needs.
    """

    config_class: type[TargetConfig] = TargetConfig
    base_model_prefix = "encoder"
    config: TargetConfig

    def __init__(self, config: TargetConfig, encoder: nn.Module, pooled_size: int) -> None:
        super().__init__(config)
        self.embedding = InputEmbedding(config)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.encoder = encoder
        self.head_dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(pooled_size, config.num_labels or 2)
        self.post_init()  # type: ignore[no-untyped-call]  # of transformers

    def _init_weights(self, module: nn.Module) -> None:
        # PyTorch's own initialisation, not the 0.02 of pretrained transformers: these are trained
        # from scratch.
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()

    def get_input_embeddings(self) -> nn.Module:
        """Return the word embedding table."""
        return self.embedding.words

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embedding table."""
        self.embedding.add_module("words", value)

    def input_vectors(self, ids: torch.Tensor) -> torch.Tensor:
        """Give the input vectors of token ids: (B, ...) -> (B, ..., input_size)."""
        vectors: torch.Tensor = self.embedding(ids)
        return vectors

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Classify sentences given as ids or as input vectors.

        Args:
            input_ids: (B, T); padding is id 0.
            attention_mask: (B, T), 1 at words; by default what is not padding, or with
                `inputs_embeds` everything, which is faster than a mask of ones.
            inputs_embeds: (B, T, input_size), instead of `input_ids`.
            labels: (B,), for a mean cross-entropy loss.

        Raises:
            ValueError: when not exactly one of `input_ids` and `inputs_embeds` is given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        if input_ids is not None:
            inputs_embeds = self.embedding(input_ids)
            if attention_mask is None:
                attention_mask = input_ids.ne(PAD_ID)
        mask = None if attention_mask is None else attention_mask.bool()  # (B, T)
        pooled = self.encoder(self.embedding_dropout(inputs_embeds), mask)  # (B, P)
        logits = self.head(self.head_dropout(pooled))  # (B, C)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
