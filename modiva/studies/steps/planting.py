"""What the targets of a cell are trained on: sentences drawn, patterns, secrets planted."""

import functools
from collections.abc import Sequence

import torch

from canaries import Pattern, Planted, Planting, get_pattern, load_patterns, plant
from modiva.corpora import Corpus, load
from modiva.studies.spec import Cell


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
    """Seeds of the targets: the same in every cell of a study, so that cells are paired."""
    return [cell.seed * 100_000 + index for index in range(cell.models)]


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
    some = 0 < cell.sentences < len(corpus.train)
    data = corpus.subset(cell.sentences, seed=seed) if some else corpus
    return plant(data.train, data.valid, plantings, seed=seed, share_valid=cell.share_valid)
