"""The step `fit`: a ranker learned on shadow models, which train on the attacker's own sentences.

Its artefact is the ranker's folder. How often a secret stood in the target's data is not known to
an attacker, so the shadow models have it in turn 3, 10, 30, 100 times and once.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attacks import Ranker, Shadow, build_completion, fit_ranker
from attacks.labels import BY_NAME
from canaries import Pattern
from modiva.corpora import Corpus
from modiva.studies.engines.task import Context, Rows
from modiva.studies.spec import Cell
from modiva.studies.steps.initial import initial_model
from modiva.studies.steps.planting import cell_patterns, prepare_process
from modiva.studies.steps.train import Target, checked_corpus, load_targets
from modiva.training.seeds import resolve_device

REPETITIONS = (3, 10, 30, 100, 1)  # the most useful first, for those who train few


def shadow_cells(cell: Cell, side: str = "shadows") -> list[Cell]:
    """The cells whose models are the shadow models of `cell`, whatever its own repetitions."""
    cells = []
    for number, repetitions in enumerate(REPETITIONS):
        models = (cell.shadows + len(REPETITIONS) - 1 - number) // len(REPETITIONS)
        if models:
            cells.append(
                dataclasses.replace(
                    cell,
                    repetitions=repetitions,
                    models=models,
                    attack=(),
                    objective="margin",
                    secrets=1,
                    controls=1,
                    share_valid=False,
                    side=side,
                )
            )
    return cells


def run(settings: Mapping[str, Any], context: Context) -> Rows:
    """Fit a ranker on the shadow models of the inputs and leave it in `context.out`."""
    prepare_process()
    shadows: list[Shadow] = []
    cells = [Cell.from_dict(values) for values in settings["cells"]]
    for role, number in settings["roles"]:
        cell = cells[number]
        corpus = checked_corpus(cell, settings["data"])
        patterns = cell_patterns(cell, corpus)
        for target in load_targets(context.inputs[role]):
            target.classifier.model.to(resolve_device(context.device))  # type: ignore[arg-type]
            shadows += shadows_of(cell, corpus, patterns, target, settings["initial"])
    fit(cells[0], shadows, settings["initial"]).save(context.out)
    return []


def fit(cell: Cell, shadows: Sequence[Shadow], initial: bool, progress: bool = False) -> Ranker:
    """Fit a ranker and say in it what it was fitted on."""
    facts = {
        "corpus": cell.corpus,
        "target": cell.target,
        "size": cell.size,
        "defense": cell.defense,
        "noise_multiplier": cell.noise,
        "patterns": list(cell.pattern),
        "problems": len(shadows),
        "initial": initial,
    }
    return fit_ranker(shadows, facts=facts, seed=cell.seed, progress=progress)


def shadows_of(
    cell: Cell, corpus: Corpus, patterns: Sequence[Pattern], target: Target, initial: bool
) -> Iterator[Shadow]:
    """One shadow problem a secret that the attacker planted in its own model."""
    model, tokenizer = target.classifier.model, target.classifier.tokenizer
    before = initial_model(cell, corpus, patterns, target) if initial else None
    for pattern, canary in zip(patterns, target.ledger.canaries, strict=True):
        problem = build_completion(tokenizer, model, pattern=pattern, label=BY_NAME + canary.label)
        yield Shadow(model, problem, problem.choices(canary.secret), before)
