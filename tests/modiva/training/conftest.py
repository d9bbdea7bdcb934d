"""A tiny task that a classifier can learn in a second."""

import random

import pytest

from modiva.classifiers import Classifier, TargetSpec, build
from modiva.training.config import Splits

WORDS = {
    "play": "song music album artist track",
    "weather": "rain sun snow cloud wind",
    "book": "table hotel flight seat room",
}
FILLERS = ["the", "a", "please", "some", "now", "my", "this", "for"]


def sentences(n: int, seed: int) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    found = []
    for _ in range(n):
        intent = rng.choice(sorted(WORDS))
        words = [rng.choice(FILLERS) for _ in range(rng.randint(1, 8))]
        words.insert(rng.randint(0, len(words)), rng.choice(WORDS[intent].split()))
        found.append((" ".join(words), intent))
    return found


def make_splits(n: int = 120, seed: int = 0, valid: int = 40) -> Splits:
    return Splits(sentences(n, seed), sentences(valid, seed + 1000), sentences(40, seed + 2000))


def make_classifier(splits: Splits, architecture: str = "cnn", seed: int = 0, **spec) -> Classifier:
    target = TargetSpec(architecture, embedding_dim=8, hidden_size=8, **spec)
    texts = [text for text, _ in splits.train]
    return build(target, texts=texts, intents=sorted(WORDS), seed=seed)


def weights(classifier: Classifier) -> dict:
    return {name: value.clone() for name, value in classifier.model.state_dict().items()}


@pytest.fixture
def splits() -> Splits:
    return make_splits()
