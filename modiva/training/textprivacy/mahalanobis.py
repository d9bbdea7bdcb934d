"""Elliptical noise on word vectors, by the spread of the vocabulary (Xu et al. 2020)."""

from functools import cached_property

import numpy as np

from modiva.training.textprivacy.mechanism import Floats, NoisyVectors, planar

LAMBDA = 0.2  # share of the vocabulary's covariance in the shape of the noise


class Mahalanobis(NoisyVectors):
    """The word nearest to phi(word) + M^(1/2) z, z as of `Madlib` (arXiv 2010.11947).

    M = lambda Sigma + (1 - lambda) I, with the covariance Sigma of the vocabulary scaled to a mean
    variance of 1. The log ratio of two words with difference delta is at most
    epsilon sqrt(delta' M^-1 delta), which may exceed epsilon |delta|.
    """

    name = "mahalanobis"

    @cached_property
    def _axes(self) -> tuple[Floats, Floats]:
        """Variances (d,) and directions (d, d) of the noise: the eigenvectors of M."""
        covariance = np.cov(self.space.vectors, rowvar=False, dtype=float).reshape(
            self.space.vectors.shape[1], -1
        )
        covariance /= np.diag(covariance).mean()
        shape = LAMBDA * covariance + (1 - LAMBDA) * np.eye(len(covariance))
        variances, directions = np.linalg.eigh(shape)
        return variances, directions

    def noise(self, size: int, rng: np.random.Generator) -> Floats:
        """Return noise (size, d), longer where the vocabulary is spread more."""
        variances, directions = self._axes
        noise = planar(size, len(variances), self.epsilon, rng)
        stretched: Floats = (noise * np.sqrt(variances)) @ directions.T
        return stretched

    def metric(self, vectors: Floats) -> Floats:
        """Return vectors (n, d) whose Euclidean distance is sqrt(delta' M^-1 delta)."""
        variances, directions = self._axes
        whitened: Floats = (vectors.astype(float) @ directions) / np.sqrt(variances)
        return whitened
