"""ADePT with noise that keeps the promise (Krishna, Gupta and Dupuy 2021, arXiv 2102.01502)."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, special

from canaries import Pattern
from modiva.errors import ModivaError
from modiva.training.textprivacy.autoencoder import CLIP_NORM, Autoencoder
from modiva.training.textprivacy.mechanism import Mechanism

DELTA = 1e-5
BLOCK = 256  # sentences that are decoded at once


@dataclass
class NoisyCodes(Mechanism):
    """Noise on the clipped code of a sentence, which is then decoded greedily.

    Any two sentences are neighbours, whatever their length: their codes differ by 2 clip norms at
    most. The autoencoder must not have been trained on the sentences that are protected.

    Args:
        epsilon: of one sentence, at delta = 1e-5.
        folder: of the autoencoder; "" where `given` is one.
        given: the autoencoder itself; None loads `folder` where it is first needed.
    """

    epsilon: float
    folder: str = ""
    given: Autoencoder | None = None
    of_words = False

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """Encoder and decoder."""
        return self.given or Autoencoder.load(Path(self.folder))

    @property
    def proven(self) -> float | None:
        """Epsilon of one sentence, at delta = 1e-5."""
        return self.composed(1)

    @abstractmethod
    def composed(self, sentences: int) -> float:
        """Return epsilon at delta = 1e-5 of so many sentences together."""

    @abstractmethod
    def noise(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return noise (size, n) on codes."""

    def rewrite(self, sentences: Sequence[str], seed: int) -> list[str]:
        """Encode, add noise, decode; lengths and words are those of the decoder."""
        rng = np.random.default_rng(seed)
        written: list[str] = []
        for start in range(0, len(sentences), BLOCK):
            codes = self.autoencoder.codes(sentences[start : start + BLOCK])
            noisy = codes + self.noise(len(codes), rng)
            written += self.autoencoder.decode(torch.from_numpy(noisy).float())
        return written

    def secret_epsilon(self, pattern: Pattern, copies: int = 1) -> float | None:
        """Return epsilon of so many sentences: it holds for any two contents of them."""
        return self.composed(copies)

    def check_corpus(self, name: str, fingerprint: str) -> None:
        """Raise where the autoencoder was trained on the corpus that it is to protect.

        Raises:
            ModivaError: it was.
        """
        if self.autoencoder.facts.get("fingerprint") == fingerprint:
            raise ModivaError(
                f"--autoencoder {self.folder} was trained on corpus {name} itself, whose sentences "
                "its decoder has memorised: train one on another corpus"
            )


class Adept(NoisyCodes):
    """Gaussian noise, calibrated exactly (Balle and Wang 2018) to the sensitivity 2 C."""

    name = "adept"

    @cached_property
    def mu(self) -> float:
        """The privacy of one sentence as mu of Gaussian differential privacy: 2 C / sigma."""
        most = 1.0
        while _delta(most, self.epsilon) < DELTA:
            most *= 2
        return float(optimize.brentq(lambda mu: _delta(mu, self.epsilon) - DELTA, 1e-9, most))

    def composed(self, sentences: int) -> float:
        """Return epsilon of sentences: their mu is the root of their number times one's."""
        if sentences == 1:
            return self.epsilon
        mu = math.sqrt(sentences) * self.mu
        most = sentences * self.epsilon  # the sum of their epsilons, at the sum of their deltas
        while _delta(mu, most) > DELTA:
            most *= 2
        return float(optimize.brentq(lambda epsilon: _delta(mu, epsilon) - DELTA, 0.0, most))

    def noise(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return Gaussian noise (size, n)."""
        return rng.normal(0, 2 * CLIP_NORM / self.mu, (size, self.autoencoder.code_size))


def _delta(mu: float, epsilon: float) -> float:
    """Return delta of mu-GDP at epsilon (Balle and Wang 2018, theorem 8)."""
    other = math.exp(epsilon + float(special.log_ndtr(-epsilon / mu - mu / 2)))
    return float(special.ndtr(mu / 2 - epsilon / mu)) - other
