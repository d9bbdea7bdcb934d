"""Mechanisms by name; each is one file."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from canaries.spaces import suggest
from modiva.classifiers import WordSpace
from modiva.condition import NONE, Condition, split_privatize
from modiva.corpora import Corpus
from modiva.errors import ModivaError
from modiva.training.textprivacy.adept import Adept, NoisyCodes
from modiva.training.textprivacy.adept_published import AdeptPublished
from modiva.training.textprivacy.gumbel import Gumbel
from modiva.training.textprivacy.madlib import Madlib
from modiva.training.textprivacy.mahalanobis import Mahalanobis
from modiva.training.textprivacy.mechanism import Mechanism, WordMechanism
from modiva.training.textprivacy.tem import Tem

MECHANISMS: Mapping[str, type[WordMechanism] | type[NoisyCodes]] = MappingProxyType(
    {kind.name: kind for kind in (Tem, Madlib, Mahalanobis, Gumbel, Adept, AdeptPublished)}
)


def get_mechanism(
    spelling: str, *, word_space: str = "minilm", autoencoder: str | None = None
) -> Mechanism:
    """Return the mechanism of a spelling; what it needs is loaded where it is first used.

    Args:
        spelling: NAME:EPSILON, such as "tem:12".
        word_space: of mechanisms of words: "minilm", or a file of word vectors in GloVe format.
        autoencoder: of mechanisms of sentences: the folder of one, trained on a public corpus.

    Raises:
        ModivaError: an unknown mechanism, no epsilon, no word space or no autoencoder.
    """
    split = split_privatize(spelling)
    name, epsilon = split if split else (spelling, 0.0)
    if name not in MECHANISMS:
        raise ModivaError(
            f"unknown mechanism {name!r}{suggest(name, MECHANISMS)}: use one of "
            f"{', '.join(MECHANISMS)}, with its epsilon, such as tem:12"
        )
    kind = MECHANISMS[name]
    if issubclass(kind, WordMechanism):
        WordSpace.check(word_space)
        return kind(epsilon, word_space)
    if autoencoder is None or not Path(autoencoder).is_dir():
        given = "has no autoencoder" if autoencoder is None else f"has no folder {autoencoder}"
        raise ModivaError(
            f"{spelling} {given}: train one on another corpus with modiva autoencoder "
            "PUBLIC_CORPUS --out FOLDER, and give it as --autoencoder FOLDER"
        )
    return kind(epsilon, autoencoder)


def mechanism_of(condition: Condition, corpus: Corpus) -> Mechanism | None:
    """Return the mechanism that a condition names; None where it names none.

    Raises:
        ModivaError: it cannot be had, or cannot protect this corpus.
    """
    if condition.privatize == NONE:
        return None
    mechanism = get_mechanism(
        condition.privatize, word_space=condition.word_space, autoencoder=condition.autoencoder
    )
    mechanism.check_corpus(corpus.name, corpus.fingerprint)
    return mechanism
