"""What a text mechanism is, and mechanisms that draw each word of a sentence on its own."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from canaries import Pattern
from modiva.classifiers import WordSpace
from modiva.training.textprivacy.words import secret_words

Floats = NDArray[np.floating]
Places = NDArray[np.intp]
Stream = tuple[np.random.Generator, int]  # and how many tokens are drawn with it

BLOCK = 512  # word types or tokens whose distances to all words are in memory at once


class Mechanism(ABC):
    """A random map from sentences to sentences; each sentence is drawn on its own.

    Subclasses say what holds: a guarantee that is not proven is None, whatever a paper claims.
    """

    name: ClassVar[str]
    of_words: ClassVar[bool]  # epsilon is per word and unit of distance in a space, else a sentence
    epsilon: float

    @property
    def claimed(self) -> float:
        """Epsilon as the mechanism's paper states it: what it was set to."""
        return self.epsilon

    @property
    @abstractmethod
    def proven(self) -> float | None:
        """Epsilon that holds: per word and unit of the mechanism's distance, or per sentence."""

    @abstractmethod
    def rewrite(self, sentences: Sequence[str], seed: int) -> list[str]:
        """Return sentences drawn in place of the given ones; the same seed gives the same."""

    def rewrite_all(self, texts: Sequence[Sequence[str]], seeds: Sequence[int]) -> list[list[str]]:
        """Return `rewrite` of several texts, one seed each; what they share is computed once."""
        return [self.rewrite(text, seed) for text, seed in zip(texts, seeds, strict=True)]

    @abstractmethod
    def secret_epsilon(self, pattern: Pattern, copies: int = 1) -> float | None:
        """Return a bound on the log ratio of two secrets in what stands for their sentences.

        Args:
            pattern: the sentence; both secrets are any of its space.
            copies: sentences that hold the secret, all of them rewritten and read.
        """

    @staticmethod
    def words_kept(before: Sequence[str], after: Sequence[str]) -> float:
        """Return the share of the words of sentences that stand in their place after rewriting."""
        total = kept = 0
        for one, other in zip(before, after, strict=True):
            words = one.split()
            total += len(words)
            kept += sum(a == b for a, b in zip(words, other.split(), strict=False))
        return kept / total if total else 1.0

    def check_corpus(self, name: str, fingerprint: str) -> None:
        """Raise where a corpus cannot be protected; most mechanisms know none of its sentences.

        Args:
            name: of the corpus.
            fingerprint: of its sentences.

        Raises:
            ModivaError: it cannot.
        """
        return

    def log_likelihoods(self, words: Sequence[str]) -> Floats | None:
        """Return log P(output | word), (n, N), over the words of the space; None if unknown."""
        return None


@dataclass
class WordMechanism(Mechanism):
    """A mechanism that draws each word on its own, among the words of a public space.

    Args:
        epsilon: of one word, per unit of distance.
        word_space: "minilm", or a file of word vectors.
        given: the space itself; None loads `word_space` where it is first needed.
    """

    epsilon: float
    word_space: str = "minilm"
    given: WordSpace | None = field(default=None, repr=False)
    of_words = True

    @cached_property
    def space(self) -> WordSpace:
        """The words that are put out."""
        return self.given or WordSpace.load(self.word_space)

    @property
    def proven(self) -> float | None:
        """Epsilon per unit of the mechanism's distance."""
        return self.epsilon

    @abstractmethod
    def draw(self, types: Sequence[str], tokens: Places, rngs: Sequence[Stream]) -> Places:
        """Return the place in the space (T,) of a word drawn for each token.

        Args:
            types: distinct words, of the space or not.
            tokens: (T,) places in `types`.
            rngs: the only sources of randomness, each with the number of its tokens, in order.
        """

    def rewrite(self, sentences: Sequence[str], seed: int) -> list[str]:
        """Draw every word; a sentence keeps its number of words."""
        return self.rewrite_all([sentences], [seed])[0]

    def rewrite_all(self, texts: Sequence[Sequence[str]], seeds: Sequence[int]) -> list[list[str]]:
        """Draw every word of several texts, each with a seed of its own."""
        flat = [[word for sentence in text for word in sentence.split()] for text in texts]
        types, tokens = np.unique([word for text in flat for word in text], return_inverse=True)
        rngs = [
            (np.random.default_rng(seed), len(text))
            for seed, text in zip(seeds, flat, strict=True)
            if text
        ]
        drawn = iter(self.draw(types.tolist(), tokens, rngs).tolist() if rngs else ())
        return [
            [" ".join(self.space.words[next(drawn)] for _ in one.split()) for one in text]
            for text in texts
        ]

    def secret_epsilon(self, pattern: Pattern, copies: int = 1) -> float | None:
        """Return epsilon times the largest distances: the sum over the words of the secret."""
        if self.proven is None:
            return None
        total = 0.0
        for _, options in secret_words(pattern):
            if options is None:
                return None
            total += self.widest(options)
        return copies * total

    def widest(self, options: Sequence[str]) -> float:
        """Return a bound on the log ratio of any two of some words in what is drawn for them."""
        return self.epsilon * _widest(self.metric(self.space.vectors_of(options)))

    def metric(self, vectors: Floats) -> Floats:
        """Return vectors (n, d) whose Euclidean distance is that of the guarantee."""
        return vectors


class NoisyVectors(WordMechanism):
    """Noise on the vector of a word; the word nearest to the sum is put out."""

    @abstractmethod
    def noise(self, size: int, rng: np.random.Generator) -> Floats:
        """Return noise (size, d)."""

    def draw(self, types: Sequence[str], tokens: Places, rngs: Sequence[Stream]) -> Places:
        """Add noise in the order of the tokens and search all words."""
        vectors = self.space.vectors_of(types)
        found = []
        for rng, block in blocks(rngs):
            points = vectors[tokens[block]]
            noise = self.noise(len(points), rng).astype(np.float32)
            found.append(self.space.nearest(points + noise))
        return np.concatenate(found)


def blocks(rngs: Sequence[Stream]) -> Iterator[tuple[np.random.Generator, slice]]:
    """Yield the tokens of each generator in blocks, in order."""
    first = 0
    for rng, number in rngs:
        for start in range(first, first + number, BLOCK):
            yield rng, slice(start, min(start + BLOCK, first + number))
        first += number


def planar(size: int, dim: int, epsilon: float, rng: np.random.Generator) -> Floats:
    """Return noise (size, dim) with density proportional to exp(-epsilon |z|).

    Its length is Gamma(dim, 1 / epsilon) and its direction uniform (Wu et al. 2017).
    """
    direction = rng.standard_normal((size, dim))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    noise: Floats = direction * rng.gamma(dim, 1 / epsilon, (size, 1))
    return noise


def _widest(vectors: Floats) -> float:
    """Return the largest distance of two rows of (n, d); of many rows, an upper bound on it."""
    exact = vectors.astype(float)
    if len(exact) > 2 * BLOCK:  # twice the radius around the mean
        return 2 * float(np.linalg.norm(exact - exact.mean(axis=0), axis=1).max())
    squares = (exact**2).sum(axis=1)
    gaps = squares[:, None] + squares - 2 * exact @ exact.T
    return float(np.sqrt(gaps.max().clip(min=0)))
