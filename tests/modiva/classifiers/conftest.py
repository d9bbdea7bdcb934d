"""Small classifiers of every architecture, for the tests of this folder."""

from collections.abc import Callable

import pytest
import torch

from modiva.classifiers import Classifier, TargetSpec, build

SPECS = {
    "cnn": TargetSpec("cnn", 6, 5),
    "cnn-char": TargetSpec("cnn", 6, 5, char_embeddings=True),
    "lstm": TargetSpec("lstm", 6, 5),
    "lstm-last": TargetSpec("lstm", 6, 5, layers=2, pooling="last"),
    "lstm-char": TargetSpec("lstm", 6, 5, char_embeddings=True),
    "transformer": TargetSpec("transformer", 6, 8, layers=2),
}


@pytest.fixture(params=sorted(SPECS), scope="module")
def spec(request: pytest.FixtureRequest) -> TargetSpec:
    """One of the own architectures, tiny."""
    return SPECS[request.param]


@pytest.fixture(scope="session")
def make() -> Callable[..., Classifier]:
    """Build a classifier of a spec over a few words and five intents."""

    def make(spec: TargetSpec, seed: int = 0) -> Classifier:
        return build(
            spec,
            texts=["call my mother now", "turn the lights on", "what's the weather ?"],
            intents=["call", "light", "weather", "music", "other"],
            extra_words="0123456789",
            seed=seed,
        )

    return make


@pytest.fixture(scope="session")
def draw() -> Callable[..., torch.Tensor]:
    """Draw word ids (B, T) of sentences with the given lengths, padded to the right with 0."""

    def draw(vocab_size: int, lengths: list[int], width: int, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(1, vocab_size, (len(lengths), width), generator=generator)
        return ids * (torch.arange(width) < torch.tensor(lengths).unsqueeze(1))

    return draw
