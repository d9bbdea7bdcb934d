"""Intent-classification data: the default grammar, public sets, and files of the user."""

from modiva.corpora.catalog import (
    choose_columns,
    describe,
    load,
    missing,
    names,
    read_pairs,
    source_files,
)
from modiva.corpora.corpus import Corpus
from modiva.corpora.given import insert

__all__ = [
    "Corpus",
    "choose_columns",
    "describe",
    "insert",
    "load",
    "missing",
    "names",
    "read_pairs",
    "source_files",
]
