"""Intent-classification data: the default grammar, public sets, and files of the user."""

from modiva.corpora.catalog import Description, describe, fetch, load, local_copy, missing, names
from modiva.corpora.corpus import Corpus, Example
from modiva.corpora.text import normalise

__all__ = [
    "Corpus",
    "Description",
    "Example",
    "describe",
    "fetch",
    "load",
    "local_copy",
    "missing",
    "names",
    "normalise",
]
