"""The step `attack`: one attack on the targets of one chunk, scored against their ledgers.

Attacking is given the model and the questions; only scoring opens a ledger.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attacks import (
    Attack,
    Completion,
    Knowledge,
    Ranker,
    Reconstruction,
    Scored,
    audited_attack,
    build_completion,
)
from attacks.labels import BY_NAME, resolve_label
from canaries import Canary, Ledger, Pattern
from modiva.condition import Condition
from modiva.measure import SpaceScores, score_rows
from modiva.privacy import plan_from
from modiva.studies.engines.task import Context, Rows
from modiva.training import (
    Prepared,
    Target,
    TrainResult,
    load_ledgers,
    load_targets,
    prepare,
    prepare_process,
    resolve_device,
)

# Spaces up to this size are ranked whole; what an attack has not looked at stands behind.
ENUMERATED = 50_000

# Problems by tokenizer and pattern.
Tokenised = dict[tuple[str, Pattern], Completion]


@dataclass(frozen=True)
class AttackJob:
    """One attack on the targets of one step.

    Args:
        condition: of the targets.
        fingerprint: of the corpus that the study was planned with.
        attack: its name.
        objective: of attacks that are a search and no paper's.
    """

    condition: Condition
    fingerprint: str
    attack: str
    objective: str
    kind = "attack"

    def __call__(self, context: Context) -> Rows:
        """Attack every model of the input `target`; one row per canary and control."""
        prepare_process()
        prepared = prepare(self.condition, fingerprint=self.fingerprint)
        attack = audited_attack(self.attack, self.objective)
        ranker = Ranker.load(context.inputs[self.attack]) if "ranker" in attack.needs else None
        folder = context.inputs["target"]
        # Several attacks on one chunk are one task: targets are loaded, and candidates described,
        # once.
        if "targets" not in context.shared:
            targets = list(load_targets(folder))
            for target in targets:
                target.classifier.model.to(resolve_device(context.device))  # type: ignore[arg-type]
            context.shared.update(targets=targets, described=defaultdict(dict), tokenised={})
        found = [
            attack_target(
                attack,
                prepared,
                target,
                ranker,
                described=context.shared["described"][target.model_seed],
                tokenised=context.shared["tokenised"],
            )
            for target in context.shared["targets"]
        ]
        return [
            row
            for target, ledger, its in zip(
                context.shared["targets"], load_ledgers(folder), found, strict=True
            )
            for row in score_target(prepared, target, ledger, its)
        ]


def attack_target(
    attack: Attack,
    prepared: Prepared,
    target: Target,
    ranker: Ranker | None = None,
    *,
    described: dict[str, Any] | None = None,
    tokenised: Tokenised | None = None,
) -> list[Reconstruction]:
    """Attack every question of one target.

    Args:
        attack: what is run.
        prepared: the target's condition, for the weights before training where the attack needs
            them.
        target: with its questions.
        ranker: for attacks that need one.
        described: kept between the attacks on one target.
        tokenised: kept between targets, which mostly have equal tokenizers.
    """
    model, tokenizer = target.classifier.model, target.classifier.tokenizer
    tokenised = {} if tokenised is None else tokenised
    spelling = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    problems: list[Completion] = []
    for question in target.questions:
        key = spelling, question.pattern
        if key not in tokenised:
            tokenised[key] = build_completion(tokenizer, model, pattern=question.pattern, label=0)
        label = resolve_label(model, BY_NAME + question.label)
        problems.append(replace(tokenised[key], label=label, name=question.id))
    knowledge = Knowledge(
        initial=prepared.initial_model(target) if "initial" in attack.needs else None,
        ranker=ranker,
        described={} if described is None else described,
    )
    return attack.run(model, problems, knowledge=knowledge, seed=target.model_seed)


def score_target(
    prepared: Prepared, target: Target, ledger: Ledger, found: Sequence[Reconstruction]
) -> Rows:
    """One row per canary and control of one target."""
    rows: Rows = []
    for canary, reconstruction in zip(ledger.canaries, found, strict=True):
        pattern = canary.form
        scored = reconstruction.scored
        rows += score_rows(
            reconstruction,
            canary.secret,
            canary.controls,
            _base(prepared, target, canary),
            slot_sizes=[len(slot) for slot in pattern.slots],
            scores=None if scored is None else space_scores(scored, pattern),
        )
    return rows


def space_scores(scored: Scored, pattern: Pattern) -> SpaceScores | None:
    """Scores of the whole space; what the attack did not look at is last, tied.

    None where it looked at a part of a space that is too large to list.
    """
    if pattern.size > max(ENUMERATED, len(scored.numbers)):
        return None
    every = np.full(pattern.size, np.inf)
    every[scored.numbers.numpy()] = scored.scores.numpy()
    return SpaceScores(every, pattern.index)


def _base(prepared: Prepared, target: Target, canary: Canary) -> dict[str, Any]:
    """The columns that say what was attacked."""
    result = target.result
    return {
        **condition_columns(prepared.condition, prepared.corpus.name),
        "noise_multiplier": noise_multiplier(result),
        "repetitions": canary.repetitions,
        "sentences": target.sentences,
        "epsilon": result.epsilon,
        "delta": result.delta,
        "group_epsilon": _group_epsilon(result, canary.repetitions),
        "pattern": canary.pattern.partition(":")[0],
        "length": len(canary.secret),
        "model_seed": target.model_seed,
        "canary": canary.id,
        "label": canary.label,
        "test_accuracy": result.test_accuracy,
        "majority_accuracy": result.majority_accuracy,
        "epochs": result.epochs_run,
    }


def condition_columns(condition: Condition, corpus: str) -> dict[str, Any]:
    """The columns of a row that are its condition's: equal targets under two names share the rest.

    Args:
        condition: of the targets.
        corpus: the name that tables show.
    """
    return {
        "corpus": corpus,
        "target": condition.target,
        "size": condition.size,
        "defense": condition.protection,
        "target_epsilon": condition.privacy.epsilon if condition.privacy else None,
    }


def noise_multiplier(result: TrainResult) -> float:
    """The noise multiplier of a training, in its first step; 0 without privacy."""
    if result.plan is None:
        return 0.0
    noise = result.plan["noise_multiplier"]
    return float(noise if isinstance(noise, int | float) else noise[0])


def _group_epsilon(result: TrainResult, repetitions: int) -> float | None:
    """Epsilon of a secret that `repetitions` sentences hold; None without a bound."""
    if result.plan is None:
        return None
    bound = plan_from(result.plan).group_epsilon(repetitions)
    return bound if math.isfinite(bound) else None
