"""MADLIB: noise on word vectors under metric differential privacy (Feyisetan et al. 2020)."""

import numpy as np

from modiva.training.textprivacy.mechanism import Floats, NoisyVectors, planar


class Madlib(NoisyVectors):
    """The word nearest to phi(word) + z, z of density proportional to exp(-epsilon |z|).

    The log ratio of two words is at most epsilon times their distance (arXiv 1910.08902); without
    a distance there is no finite bound.
    """

    name = "madlib"

    def noise(self, size: int, rng: np.random.Generator) -> Floats:
        """Return noise (size, d), alike in all directions."""
        return planar(size, self.space.vectors.shape[1], self.epsilon, rng)
