"""What the targets of a cell are trained on: sentences drawn, patterns, secrets planted."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

import torch

from canaries import Pattern, Planted, Planting, get_pattern, load_patterns, plant
from modiva.corpora import Corpus, load
from modiva.errors import ModivaError
from modiva.studies.spec import MOST_MODELS, Cell


@functools.lru_cache(maxsize=4)
def load_corpus(name: str) -> Corpus:
    """Load a corpus once a process."""
    return load(name)


def prepare_process() -> None:
    """Make a process compute as all others do: one thread, and no slow denormal numbers."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def cell_patterns(cell: Cell, corpus: Corpus) -> tuple[Pattern, ...]:
    """The patterns of a cell; word slots take their options from the corpus's own words."""
    patterns, spaces = load_patterns(cell.patterns_file) if cell.patterns_file else ({}, {})
    vocabulary = corpus.vocabulary(min_count=2)
    return tuple(
        get_pattern(name, vocabulary=vocabulary, patterns=patterns, spaces=spaces)
        for name in cell.pattern
    )


def model_seeds(cell: Cell) -> list[int]:
    """Seeds of the models: the same in every cell of a study, so that cells are paired.

    Shadow models have seeds of their own, which no target has.
    """
    first = cell.seed * 2 * MOST_MODELS
    if cell.side == "shadows":
        first += MOST_MODELS + 100 * cell.repetitions
    return [first + index for index in range(cell.models)]


def sentences_of(cell: Cell, corpus: Corpus) -> Corpus:
    """The corpus with the part of the training split that a cell's models may train on.

    Where shadow models are trained, a text is either the targets' or the attacker's, by its hash.

    Raises:
        ModivaError: a side has no sentence.
    """
    if cell.side == "all":
        return corpus
    mine = cell.side == "targets"
    train = tuple(e for e in corpus.train if (_half(e[0], cell.seed) == 0) == mine)
    if not train:
        raise ModivaError(
            f"corpus {corpus.name} has {len(corpus.train)} training sentences: too few to keep "
            "some for the attacker's shadow models; take an attack that needs none"
        )
    return dataclasses.replace(corpus, train=train)


def _half(text: str, seed: int) -> int:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()[0] % 2


def plant_target(cell: Cell, corpus: Corpus, patterns: Sequence[Pattern], seed: int) -> Planted:
    """Draw the training sentences of one target and plant its own secrets among them."""
    plantings = [
        Planting(
            pattern=pattern,
            repetitions=cell.repetitions,
            label=cell.label,
            count=cell.secrets,
            controls=cell.controls,
        )
        for pattern in patterns
    ]
    corpus = sentences_of(cell, corpus)
    some = 0 < cell.sentences < len(corpus.train)
    data = corpus.subset(cell.sentences, seed=seed) if some else corpus
    return plant(data.train, data.valid, plantings, seed=seed, share_valid=cell.share_valid)
