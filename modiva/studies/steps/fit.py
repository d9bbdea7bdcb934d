"""The step `fit`: a ranker learned on shadow models, which train on the attacker's own sentences.

Its artefact is the ranker's folder. How often a secret stood in the target's data is not known to
an attacker, so the shadow models have it in turn 3, 10, 30, 100 times and once.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from attacks import Ranker, Shadow, build_completion, fit_ranker
from canaries import Ledger
from modiva.condition import Condition, Side
from modiva.handling import Seen
from modiva.studies.engines.task import Context, Rows
from modiva.studies.spec import Cell
from modiva.studies.steps.train import train_jobs
from modiva.training import (
    Prepared,
    Target,
    load_ledgers,
    load_targets,
    prepare,
    prepare_process,
)

REPETITIONS = (3, 10, 30, 100, 1)  # the most useful first, for those who train few
CLIENTS = 4  # shadow clients of a shadow federation


@dataclass(frozen=True)
class FitJob:
    """A ranker to fit.

    Args:
        conditions: of the shadow models.
        roles: the inputs that hold shadow models, each with the number of its condition.
        fingerprint: of the corpus that the study was planned with.
        initial: whether the ranker may use the weights before training.
        seed: of every random draw.
        seen: of federated training, what the attacker sees.
    """

    conditions: tuple[Condition, ...]
    roles: tuple[tuple[str, int], ...]
    fingerprint: str
    initial: bool
    seed: int
    seen: Seen = "final"
    kind = "fit"

    def __call__(self, context: Context) -> Rows:
        """Fit the ranker on the shadow models of the inputs and leave it in `context.out`."""
        prepare_process()
        shadows: list[Shadow] = []
        for role, number in self.roles:
            prepared = prepare(self.conditions[number], fingerprint=self.fingerprint)
            folder = context.inputs[role]
            for target, ledger in zip(
                load_targets(folder, context.device), load_ledgers(folder), strict=True
            ):
                shadows += shadows_of(prepared, target, ledger, self.initial, self.seen)
        updates = self.seen != "final"
        fit(self.conditions[0], shadows, self.initial, self.seed, updates=updates).save(context.out)
        return []


def shadow_cells(cell: Cell, side: Side = "shadows") -> list[Cell]:
    """Return the cells of the shadow models of `cell`, whatever its own repetitions.

    Where updates are seen, a shadow is a client: several of them belong to one shadow federation.
    """
    cells = []
    secrets = 1 if cell.seen == "final" else CLIENTS
    for number, repetitions in enumerate(REPETITIONS):
        models = (cell.shadows + len(REPETITIONS) - 1 - number) // len(REPETITIONS)
        models = -(-models // secrets)
        if models:
            condition = dataclasses.replace(
                cell.condition,
                repetitions=(repetitions,),
                secrets=secrets,
                controls=1,
                share_valid=False,
                side=side,
            )
            cells.append(dataclasses.replace(cell, condition=condition, models=models, attacks=()))
    return cells


def train_ranker(
    condition: Condition,
    *,
    shadows: int,
    initial: bool,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> Ranker:
    """Train shadow models on all sentences of a condition's corpus and fit a ranker.

    Args:
        condition: what the shadow models share with the target.
        shadows: how many to train.
        initial: whether the ranker may use the weights before training.
        seed: of every random draw.
        device: "auto", "cpu" or "cuda".
        progress: show how far it is on standard error.
    """
    prepare_process()
    cell = Cell(condition, models=1, seed=seed, shadows=shadows)
    lessons: list[Shadow] = []
    for one in shadow_cells(cell, side="all"):
        prepared = prepare(one.condition, device=device)
        for job in train_jobs(one, prepared.corpus.fingerprint):
            trained = prepared.train(job.seeds, order_seed=job.order_seed, progress=progress)
            for target, ledger in trained:
                lessons += shadows_of(prepared, target, ledger, initial)
    return fit(condition, lessons, initial, seed, progress)


def fit(
    condition: Condition,
    shadows: Sequence[Shadow],
    initial: bool,
    seed: int,
    progress: bool = False,
    updates: bool = False,
) -> Ranker:
    """Fit a ranker and record in it what it was fitted on."""
    facts: dict[str, Any] = {
        "corpus": condition.corpus,
        "target": condition.target,
        "size": condition.size,
        "defense": condition.protection,
        "noise_multiplier": condition.noise_multiplier,
        "patterns": list(condition.patterns),
        "problems": len(shadows),
        "initial": initial,
    }
    return fit_ranker(shadows, facts=facts, updates=updates, seed=seed, progress=progress)


def shadows_of(
    prepared: Prepared, target: Target, ledger: Ledger, initial: bool, seen: Seen = "final"
) -> Iterator[Shadow]:
    """Yield one shadow problem per secret that the attacker planted in their own model.

    Of rounds it is the first in which the device of the secret took part.
    """
    model, tokenizer = target.classifier.model, target.classifier.tokenizer
    before = prepared.initial_model(target) if initial and seen == "final" else None
    for question, canary in zip(target.questions, ledger.canaries, strict=True):
        problem = build_completion(tokenizer, model, pattern=question.pattern, label=question.label)
        if seen != "final":
            if not target.devices[canary.id].rounds:
                continue
            first, model = next(target.views(canary.id, seen))
            before = first if initial else None
        yield Shadow(model, problem, problem.choices(canary.secret), before)
