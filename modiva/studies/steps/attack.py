"""The step `attack`: one attack on the targets of one chunk, scored against their ledgers.

Attacking is given the model and the questions; only scoring opens a ledger.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from attacks import Attack, Knowledge, Ranker, Reconstruction, build_completion
from attacks.adding import add_evidence
from attacks.labels import BY_NAME, resolve_label
from attacks.problem import Completion
from attacks.registry import audited_attack
from canaries import Ledger, Pattern
from modiva.condition import Condition
from modiva.handling import Seen
from modiva.measure import columns, score_rows
from modiva.studies.engines.task import Context, Rows
from modiva.studies.steps.rows import (
    BEFORE_NOISE,
    claims_of,
    decoded,
    model_columns,
    plain,
    sight_of,
)
from modiva.training import (
    Prepared,
    Target,
    load_ledgers,
    load_targets,
    prepare,
    prepare_process,
)

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
        seen: of federated training, what the attacker sees.
    """

    condition: Condition
    fingerprint: str
    attack: str
    objective: str
    seen: Seen = "final"
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
            targets = list(load_targets(folder, context.device))
            context.shared.update(targets=targets, described=defaultdict(dict), tokenised={})
        found = [
            attack_target(
                attack,
                prepared,
                target,
                ranker,
                described=context.shared["described"][target.model_seed],
                tokenised=context.shared["tokenised"],
                seen=self.seen,
            )
            for target in context.shared["targets"]
        ]
        scored = zip(context.shared["targets"], load_ledgers(folder), found, strict=True)
        return plain(row for own in scored for row in score_target(prepared, *own, self.seen))


def attack_target(
    attack: Attack,
    prepared: Prepared,
    target: Target,
    ranker: Ranker | None = None,
    *,
    described: dict[str, Any] | None = None,
    tokenised: Tokenised | None = None,
    seen: Seen = "final",
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
        seen: of federated training, what the attacker sees. Of rounds the weights before and after
            each are attacked, and their evidence is added up.
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
    described = {} if described is None else described
    if seen != "final":
        return [
            _attack_rounds(attack, target, problem, ranker, described, seen) for problem in problems
        ]
    knowledge = Knowledge(
        initial=prepared.initial_model(target) if "initial" in attack.needs else None,
        ranker=ranker,
        described=described,
    )
    return attack.run(model, problems, knowledge=knowledge, seed=target.model_seed)


def _attack_rounds(
    attack: Attack,
    target: Target,
    problem: Completion,
    ranker: Ranker | None,
    described: dict[str, Any],
    seen: Seen,
) -> Reconstruction:
    """Attack the weights before and after each step that is seen, and add up the evidence."""
    found = []
    for number, (before, after) in enumerate(target.views(problem.name, seen)):
        known = described.setdefault(f"{problem.name} {seen} {number}", {})
        knowledge = Knowledge(initial=before, ranker=ranker, described=known)
        found += attack.run(after, [problem], knowledge=knowledge, seed=target.model_seed)
    return add_evidence(problem, found)


def score_target(
    prepared: Prepared,
    target: Target,
    ledger: Ledger,
    found: Sequence[Reconstruction],
    seen: Seen = "final",
) -> list[columns.Row]:
    """Return one row per canary and control of one target."""
    model = model_columns(prepared, target)
    if seen in BEFORE_NOISE:  # no claim holds against those who see it
        model = replace(model, epsilon=None, delta=None)
    return [
        replace(row, **sight_of(target, canary, seen))
        for canary, reconstruction in zip(ledger.canaries, found, strict=True)
        for row in score_rows(
            reconstruction,
            canary,
            model,
            claims_of(prepared, target, canary, seen),
            decoded(prepared, canary),
        )
    ]
