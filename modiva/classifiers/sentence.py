"""A linear classifier on the mean of a pretrained encoder's states: what private training affords.

Noise is added to every trained element, so the fewer there are the better: the encoder's weights
are public and stay as they are, and only the head (H + 1 numbers an intent) learns from the data.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class SentenceConfig(PretrainedConfig):
    """Configuration of `SentenceClassifier`.

    Args:
        encoder: the configuration of the encoder as a dictionary, its `model_type` in it.
        head_dropout: share of the sentence vector dropped in training.
    """

    model_type = "modiva-sentence"

    def __init__(
        self, *, encoder: dict[str, Any] | None = None, head_dropout: float = 0.0, **kwargs: Any
    ) -> None:
        self.encoder = encoder or {"model_type": "bert"}
        self.head_dropout = head_dropout
        super().__init__(**kwargs)

    @property
    def encoder_config(self) -> PretrainedConfig:
        """The configuration of the encoder."""
        # Weights are float32, in whatever precision the encoder was published.
        settings = {k: v for k, v in self.encoder.items() if k not in ("dtype", "torch_dtype")}
        config: PretrainedConfig = AutoConfig.for_model(settings.pop("model_type"), **settings)
        return config

    @property
    def hidden_size(self) -> int:
        """Size of a sentence vector."""
        size: int = self.encoder_config.hidden_size
        return size


class SentenceClassifier(PreTrainedModel):
    """A frozen encoder, the mean over the words, normalised, and a linear head.

    The mean is that of sentence encoders such as all-MiniLM (Reimers and Gurevych 2019,
    arXiv 1908.10084). It is normalised to mean 0 and variance 1 without parameters, so that the
    gradient norms of different encoders and sentences are alike.
    """

    config_class = SentenceConfig
    base_model_prefix = "encoder"
    config: SentenceConfig

    def __init__(self, config: SentenceConfig, encoder: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.encoder = AutoModel.from_config(config.encoder_config) if encoder is None else encoder
        self.encoder.requires_grad_(False)
        self.dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(config.hidden_size, config.num_labels or 2)
        self.post_init()  # type: ignore[no-untyped-call]  # of transformers

    def _init_weights(self, module: nn.Module) -> None:
        if module is getattr(self, "head", None):
            nn.init.normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)

    def train(self, mode: bool = True) -> "SentenceClassifier":
        """Set the mode of the head; the encoder stays in evaluation mode, as it is not trained."""
        super().train(mode)
        self.encoder.eval()
        return self

    def get_input_embeddings(self) -> nn.Module:
        """Return the encoder's token embedding table."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the encoder's token embedding table."""
        self.encoder.set_input_embeddings(value)

    def sentence_vectors(self, **inputs: torch.Tensor | None) -> torch.Tensor:
        """Give the sentence vectors (B, H) of `input_ids` or `inputs_embeds` and their mask."""
        states = self.encoder(**inputs).last_hidden_state  # (B, T, H)
        mask = inputs.get("attention_mask")
        if mask is None:
            mean = states.mean(dim=1)
        else:
            weight = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
            mean = (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)
        return F.layer_norm(mean, mean.shape[-1:])

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        vectors: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Classify sentences given as ids, as input vectors, or as sentence vectors.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 at words.
            inputs_embeds: (B, T, D), in place of `input_ids`.
            vectors: (B, H) from `sentence_vectors`, in place of both: as the encoder is frozen,
                training needs it only once a sentence.
            labels: (B,), for a mean cross-entropy loss.
        """
        if vectors is None:
            vectors = self.sentence_vectors(
                input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds
            )
        logits = self.head(self.dropout(vectors))  # (B, C)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
