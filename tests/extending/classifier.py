"""An architecture: the mean of the word vectors, then one hidden layer."""

import torch
from torch import nn

from modiva.classifiers import TargetClassifier, build, parse_target, register_architecture
from modiva.classifiers.configuration import TargetConfig
from modiva.privacy.engine import PerExampleClipper
from modiva.privacy.reference import ReferenceClipper


class BagConfig(TargetConfig):
    """Configuration of `BagClassifier`."""

    model_type = "modiva-bag"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class BagEncoder(nn.Module):
    """Encode a sentence without its order: (B, T, D) and (B, T) to (B, H)."""

    def __init__(self, config: BagConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(config.input_size, config.hidden_size)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if mask is None:
            return self.hidden(vectors.mean(1)).relu()
        weights = mask / mask.sum(1, keepdim=True).clamp_min(1)  # (B, T)
        return self.hidden((vectors * weights.unsqueeze(-1)).sum(1)).relu()


class BagClassifier(TargetClassifier):
    """Embeddings, mean over time, hidden layer, linear head."""

    config_class = BagConfig

    def __init__(self, config: BagConfig) -> None:
        super().__init__(config, BagEncoder(config), config.hidden_size)


register_architecture("bag", BagClassifier)


def bag() -> BagClassifier:
    torch.manual_seed(0)
    return BagClassifier(BagConfig(vocab_size=20, embedding_dim=8, hidden_size=8, num_labels=3))


def test_the_registered_name_builds_it():
    texts, intents = ["turn on the light", "good bye"], ["on", "leave"]
    built = build(parse_target("bag", "small"), texts=texts, intents=intents)
    assert isinstance(built.model, BagClassifier)
    assert built.model.config.hidden_size == 32


def test_logits_do_not_depend_on_padding():
    ids = torch.tensor([[5, 6, 7, 0, 0]])
    model = bag().eval()
    torch.testing.assert_close(model(input_ids=ids).logits, model(input_ids=ids[:, :3]).logits)


def test_clipping_is_exact():
    ids, labels = torch.randint(2, 20, (4, 6)), torch.tensor([0, 1, 2, 0])
    norms = []
    for clipper_class in (PerExampleClipper, ReferenceClipper):
        with clipper_class(model := bag(), clip_norm=0.1) as clipper:
            logits = model(input_ids=ids).logits
            losses = nn.functional.cross_entropy(logits, labels, reduction="none")
            norms.append(clipper.backward(losses))
    torch.testing.assert_close(norms[0], norms[1])
