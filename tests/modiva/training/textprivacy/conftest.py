"""Word spaces small enough to be enumerated, and a file of word vectors."""

from pathlib import Path

import numpy as np
import pytest

from modiva.classifiers import WordSpace

FILLERS = [f"filler{number}" for number in range(60)]
DIGITS = list("0123456789")


@pytest.fixture(scope="session")
def space() -> WordSpace:
    """Seventy words in eight dimensions, digits among them."""
    vectors = np.random.default_rng(0).normal(size=(70, 8))
    return WordSpace([*DIGITS, *FILLERS], vectors)


@pytest.fixture(scope="session")
def vectors_file(tmp_path_factory: pytest.TempPathFactory, space: WordSpace) -> Path:
    """The same space as a text file in GloVe format."""
    lines = [
        " ".join([word, *map(str, vector)])
        for word, vector in zip(space.words, space.vectors.tolist(), strict=True)
    ]
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("\n".join([*lines, "Upper " + " ".join(["0"] * 8)]) + "\n", encoding="utf-8")
    return path
