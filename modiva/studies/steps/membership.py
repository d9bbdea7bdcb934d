"""The steps `membership` and `records`: which records do the models of a pool tell?

The models of a pool are trained by steps like those of any targets. Its canaries are said as often
as those of the cell that it stands beside, and are so many that an audit of them can show
something.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modiva.condition import Condition
from modiva.corpora import Corpus
from modiva.measure import membership
from modiva.privacy import PrivacyPlan
from modiva.studies.engines.task import Context, Rows
from modiva.studies.spec import Cell
from modiva.studies.steps.rows import plain, planting_text, training_columns
from modiva.training import (
    Prepared,
    Target,
    evaluate,
    load_targets,
    prepare,
    prepare_process,
)

# Canaries are this share of a pool's sentences, and so many of every pattern at most.
SHARE, MOST_CANARIES = 0.1, 25
POPULATION = 1000  # sentences of the test split that RMIA compares with


@dataclass(frozen=True)
class MembershipJob:
    """Membership inference in a pool.

    Args:
        kind: "membership" gives one row per kind of records and attack, "records" one per sentence.
        condition: of the pool.
        fingerprint: of the corpus that the study was planned with.
        roles: the inputs that hold its models.
    """

    kind: str
    condition: Condition
    fingerprint: str
    roles: tuple[str, ...]

    def __call__(self, context: Context) -> Rows:
        """Infer the membership of every record in every model."""
        prepare_process()
        prepared = prepare(self.condition, fingerprint=self.fingerprint)
        targets: list[Target] = []
        found: list[membership.Signals] = []
        for role in self.roles:
            for target in load_targets(context.inputs[role], context.device):
                found.append(signals(prepared, target))
                targets.append(target)
        pool = membership.join(found)
        about = pool_columns(prepared, targets)
        if self.kind == "records":
            return plain(membership.score_records(pool, about, prepared.records.sentences))
        plan = targets[0].result.plan
        parts = claimed(prepared, None if plan is None else PrivacyPlan.read(plan))
        return plain(membership.score_pool(pool, about, parts))


def pool_cell(cell: Cell, corpus: Corpus, sizes: Sequence[int]) -> Cell:
    """Return the pool beside a cell, as a cell that nothing attacks.

    Args:
        cell: with its number of models in a pool.
        corpus: of its targets.
        sizes: number of secrets of each pattern.
    """
    condition = cell.condition
    sentences = len({text for text, _ in corpus.train})
    sentences = min(condition.sentences or sentences, sentences)
    # Each canary has a control, which is a secret, too.
    most = [MOST_CANARIES, *(size // 2 for size in sizes)]
    if copies := sum(condition.copies):
        most.append(int(SHARE * sentences / copies))
    secrets = max(min(most), 1)
    public = round((sentences + secrets * copies) / 2)
    return dataclasses.replace(
        cell,
        condition=dataclasses.replace(
            condition,
            side="pool",
            half_seed=cell.seed,
            public_size=public if condition.privacy else None,
            secrets=secrets,
            controls=1,
        ),
        models=cell.membership,
        attacks=(),
        membership=0,
        vulnerability=False,
    )


def signals(prepared: Prepared, target: Target) -> membership.Signals:
    """Return what one model of a pool shows of all records."""
    test = prepared.corpus.test
    if len(test) > POPULATION:
        drawn = np.random.default_rng(0).permutation(len(test))[:POPULATION]
        test = tuple(test[place] for place in sorted(drawn.tolist()))
    return membership.Signals(
        evaluate.confidences(target.classifier, prepared.records.all)[None],
        prepared.records.coins(target.model_seed)[None],
        evaluate.confidences(target.classifier, test)[None],
    )


def pool_columns(prepared: Prepared, targets: Sequence[Target]) -> membership.PoolColumns:
    """Return the columns of a pool."""
    records, condition = prepared.records, prepared.condition
    accuracies = [target.result.test_accuracy for target in targets]
    told = [accuracy for accuracy in accuracies if accuracy is not None]
    copies = {canary.pattern: canary.repetitions for canary in records.canaries}
    return membership.PoolColumns(
        **training_columns(prepared, targets[0]),
        planting=planting_text(copies),
        pool=len(targets),
        pool_seed=condition.half_seed,
        pool_sentences=condition.public_size or round(len(records.planted.train) / 2),
        pool_accuracy=float(np.mean(told)) if told else None,
    )


def claimed(prepared: Prepared, plan: PrivacyPlan | None) -> membership.Parts:
    """Return the places of each kind of records, by kind and repetitions, and what is claimed."""

    def claim(repetitions: int) -> membership.Claim:
        if plan is None or not math.isfinite(plan.epsilon()):
            return membership.Claim()
        epsilon = plan.group_epsilon(repetitions)
        known = epsilon if math.isfinite(epsilon) else None
        return membership.Claim(plan.trade_off(repetitions), known, plan.delta)

    records = prepared.records
    first, end = len(records.sentences), len(records.all)
    controls = end - len(records.controls)
    parts = {("sentences", 1): (np.arange(first), claim(1))}
    copies = np.array([canary.repetitions for canary in records.canaries])
    for repetitions in sorted({*copies.tolist()} - {0}):
        places = first + np.flatnonzero(copies == repetitions)
        parts["canaries", repetitions] = places, claim(repetitions)
    parts["controls", 0] = np.arange(controls, end), membership.Claim(claim(0).allowed)
    return parts
