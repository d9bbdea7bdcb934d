"""ADePT as published: its noise is too small for its claim (Habernal 2021, arXiv 2109.03175)."""

import math

import numpy as np
from numpy.typing import NDArray

from modiva.training.textprivacy.adept import DELTA, NoisyCodes
from modiva.training.textprivacy.autoencoder import CLIP_NORM

ORDERS = 1 + np.geomspace(1e-3, 1e4, 2000)


class AdeptPublished(NoisyCodes):
    """Laplace noise of scale 2 C / epsilon on codes that are clipped in L2.

    The L1 distance of two codes of n coordinates is up to 2 C sqrt(n), not 2 C, so that the pure
    epsilon is sqrt(n) times the claimed one. `proven` is the smaller one that holds at delta.
    """

    name = "adept-published"

    def composed(self, sentences: int) -> float:
        """Return epsilon at delta of sentences, by Renyi divergences (Mironov 2017, table II).

        The divergence of one coordinate is concave in its squared shift, so that it is largest
        where all coordinates differ alike. Converted as of Canonne, Kamath and Steinke 2020.
        """
        size = self.autoencoder.code_size
        pure = sentences * math.sqrt(size) * self.epsilon
        shift = self.epsilon / math.sqrt(size)  # in scales of the noise
        a = ORDERS
        coordinate = np.logaddexp(
            np.log(a / (2 * a - 1)) + (a - 1) * shift, np.log((a - 1) / (2 * a - 1)) - a * shift
        ) / (a - 1)
        converted = np.log((a - 1) / a) - (math.log(DELTA) + np.log(a)) / (a - 1)
        return min(pure, float((sentences * size * coordinate + converted).min()))

    def noise(self, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return Laplace noise (size, n)."""
        scale = 2 * CLIP_NORM / self.epsilon
        return rng.laplace(0, scale, (size, self.autoencoder.code_size))
