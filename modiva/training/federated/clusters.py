"""Groups of sentences of like meaning: k-means on the vectors of MiniLM."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from modiva.classifiers import build, parse_target
from modiva.errors import ModivaError
from modiva.training.batches import encode_split
from modiva.training.losses import frozen_vectors


@lru_cache(maxsize=4)
def sentence_clusters(texts: tuple[str, ...], clusters: int, seed: int) -> NDArray[np.int64]:
    """Return the cluster (N,) of each sentence.

    Args:
        texts: the sentences.
        clusters: how many.
        seed: of the first centres.

    Raises:
        ModivaError: more clusters than different sentences.
    """
    distinct = sorted(set(texts))
    if clusters > len(distinct):
        raise ModivaError(
            f"--partition cluster:{clusters}: there are {len(distinct)} different sentences; take "
            "fewer clusters"
        )
    vectors = _vectors(tuple(distinct))
    _, found = kmeans2(vectors, clusters, minit="++", rng=np.random.default_rng(seed))
    number = dict(zip(distinct, found.tolist(), strict=True))
    _, compact = np.unique([number[text] for text in texts], return_inverse=True)
    return compact.astype(np.int64)


@lru_cache(maxsize=2)
def _vectors(texts: tuple[str, ...]) -> NDArray[np.float64]:
    spec = replace(parse_target("minilm"), freeze_encoder=True)
    encoder = build(spec, texts=[], intents=["any", "other"])
    vectors = frozen_vectors(encoder.model, encode_split(encoder, [(t, "any") for t in texts]))
    assert vectors is not None
    return vectors.double().numpy()
