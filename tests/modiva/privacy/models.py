"""Small classifiers of every supported family, with random batches for them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
)

from modiva.classifiers.cnn import CnnClassifier
from modiva.classifiers.configuration import CnnConfig, LstmConfig, TransformerConfig
from modiva.classifiers.lstm import LstmClassifier
from modiva.classifiers.transformer import TransformerClassifier
from modiva.privacy.engine import PerExampleClipper
from modiva.privacy.reference import ReferenceClipper

VOCABULARY, LABELS = 11, 4  # so few words that duplicates are the rule


def own(kind: str, **settings: object) -> nn.Module:
    model_class, config_class = {
        "cnn": (CnnClassifier, CnnConfig),
        "lstm": (LstmClassifier, LstmConfig),
        "transformer": (TransformerClassifier, TransformerConfig),
    }[kind]
    sizes = {"embedding_dim": 6, "hidden_size": 4, "characters": 7, "num_labels": LABELS}
    model = model_class(config_class(vocab_size=VOCABULARY, **(sizes | settings)))
    if model.embedding.characters is not None:
        table = model.embedding.characters.table
        table.copy_(torch.randint(0, 7, table.shape))
    return model


def pretrained_like(kind: str, attention: str = "eager", dropout: float = 0.0) -> nn.Module:
    sizes = {
        "vocab_size": VOCABULARY,
        "num_labels": LABELS,
        "max_position_embeddings": 24,
        "pad_token_id": 0,
        "attn_implementation": attention,
    }
    if kind == "distilbert":
        names = ("dropout", "attention_dropout", "seq_classif_dropout")
        drop = dict.fromkeys(names, dropout)
        config = DistilBertConfig(dim=8, n_layers=2, n_heads=2, hidden_dim=12, **sizes, **drop)
    else:
        drop = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        shape = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
        config_class = {"bert": BertConfig, "roberta": RobertaConfig, "electra": ElectraConfig}[
            kind
        ]
        extra = {"embedding_size": 6} if kind == "electra" else {}
        config = config_class(num_hidden_layers=2, **shape, **sizes, **drop, **extra)
    return AutoModelForSequenceClassification.from_config(config)


@dataclass(frozen=True)
class Batch:
    input_ids: Tensor  # (B, T)
    attention_mask: Tensor  # (B, T)
    labels: Tensor  # (B,)

    def part(self, chosen: Tensor | slice) -> "Batch":
        return Batch(self.input_ids[chosen], self.attention_mask[chosen], self.labels[chosen])


def random_batch(size: int, length: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, VOCABULARY, (size, length), generator=generator)
    lengths = torch.randint(1, length + 1, (size, 1), generator=generator)
    mask = (torch.arange(length) < lengths).long()
    labels = torch.randint(0, LABELS, (size,), generator=generator)
    return Batch(ids * mask, mask, labels)


def example_losses(model: nn.Module, batch: Batch) -> Tensor:
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    return F.cross_entropy(logits, batch.labels, reduction="none")


Losses = Callable[[], Tensor]


def clipped(
    engine: type[PerExampleClipper] | type[ReferenceClipper],
    model: nn.Module,
    clip_norm: float,
    *losses: Losses,
    automatic: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the norms of all chunks (B,) and the clipped sum of all parameters (P,)."""
    model.zero_grad(set_to_none=True)
    with engine(model, clip_norm, automatic) as clipper:
        norms = torch.cat([clipper.backward(chunk()) for chunk in losses])
        total = torch.cat([parameter.grad.flatten() for parameter in clipper.parameters])
    model.zero_grad(set_to_none=True)
    return norms, total


def assert_exact(model: nn.Module, losses: Losses, tolerance: float = 1e-5) -> None:
    """Compare norms, and sums with about half of the examples clipped, with the oracle's.

    Sums by automatic clipping too.
    """
    state = torch.get_rng_state()
    norms, _ = clipped(ReferenceClipper, model, 1.0, losses)
    clip_norm = float(norms.median())
    for automatic in (False, True):
        torch.set_rng_state(state)
        norms, total = clipped(ReferenceClipper, model, clip_norm, losses, automatic=automatic)
        torch.set_rng_state(state)
        found_norms, found_total = clipped(
            PerExampleClipper, model, clip_norm, losses, automatic=automatic
        )
        torch.testing.assert_close(found_norms, norms, rtol=tolerance, atol=0)
        # Relative to what is summed: opposite gradients may cancel.
        scale = norms.clamp(max=clip_norm).sum()
        assert (found_total - total).norm() <= tolerance * scale
