"""From a study to its plan: everything is checked before work starts, then every step is named."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from attacks import ATTACKS, build_completion, get_attack
from attacks.problem import some
from attacks.registry import audited_attack
from canaries import Pattern, SecretSpace
from canaries.planting import candidate_words
from canaries.spaces import suggest
from modiva.classifiers import build, parse_target
from modiva.condition import NONE, Condition
from modiva.corpora import Corpus, missing
from modiva.errors import ModivaError
from modiva.fairness import groups
from modiva.handling import Distilled
from modiva.studies import cost
from modiva.studies.checks import check_study
from modiva.studies.code import code_version
from modiva.studies.identity import Identities, check_distinct
from modiva.studies.plan import Plan, PlannedCell, Step
from modiva.studies.sources import content, signature
from modiva.studies.spec import Cell, Study, content_key
from modiva.studies.steps.attack import AttackJob
from modiva.studies.steps.fit import FitJob, shadow_cells
from modiva.studies.steps.groups import GroupsJob
from modiva.studies.steps.membership import MembershipJob, pool_cell
from modiva.studies.steps.rows import condition_columns
from modiva.studies.steps.train import TrainJob, train_jobs
from modiva.training import Prepared, load_corpus, prepare, resolve

# Of a pattern: all measures of it are then finite in double precision.
MOST_SECRETS = 10**300


def plan_study(study: Study) -> Plan:
    """Check a study against its corpora and name its steps.

    Raises:
        ModivaError, CanaryError, AttackError: the first thing that would not work, and the remedy.
    """
    check_study(study)
    planner = _Planner()
    planned = [(cell.condition.corpus, planner.cell(cell)) for cell in study.cells()]
    names = planner.identities.names()
    cells = [
        dataclasses.replace(cell, columns={**cell.columns, "corpus": names[corpus]})
        for corpus, cell in planned
    ]
    goals = {key for cell in cells for key in cell.goals}
    return Plan(
        signature=signature(study),
        settings=study.as_dict(),
        cells=tuple(cells),
        artefacts=tuple(key for key in planner.steps if key not in goals),
        steps=planner.steps,
    )


def estimate_study(study: Study) -> float:
    """Check a study and estimate the seconds that it takes on one core.

    Where a named corpus is not on this machine, nothing is downloaded, and nothing is checked
    against any corpus.

    Raises:
        ModivaError, CanaryError, AttackError: the first thing that would not work, and the remedy.
    """
    cells = study.cells()
    if missing(cell.condition.corpus for cell in cells):
        check_study(study)
        return sum(map(cost.estimate_seconds, cells))
    return sum(step.seconds for step in plan_study(study).steps.values())


class _Planner:
    """Gathers steps; what many cells share is worked out once."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.identities = Identities()
        self._drawn: set[Any] = set()
        self._patterns: dict[Any, tuple[tuple[Pattern, ...], str]] = {}
        self._without_places: dict[Any, tuple[str, ...]] = {}
        self._decides = lru_cache(maxsize=None)(_decides)
        self._needs = lru_cache(maxsize=None)(_needs)
        self._attack = lru_cache(maxsize=None)(_attack_facts)

    def cell(self, cell: Cell) -> PlannedCell:
        """Check a cell and add its steps."""
        condition = cell.condition
        corpus = load_corpus(condition.corpus, condition.columns)
        shared = (condition.corpus, condition.patterns, condition.patterns_file)
        if shared not in self._patterns:
            patterns = prepare(condition, corpus=corpus).patterns
            self._patterns[shared] = patterns, _patterns_key(patterns)
        patterns, patterns_key = self._patterns[shared]
        self.identities.add(condition.corpus, corpus, patterns)
        check_condition(condition, corpus, patterns)
        parted = self._groups(cell)
        if condition.training is not None:
            prepare(condition, corpus=corpus).check_training()
        # Own targets of one corpus share their tokenizer.
        own = parse_target(condition.target, condition.size).is_own
        tokenised = (*shared, None if own else condition.target)
        if tokenised not in self._without_places:
            self._without_places[tokenised] = check_tokens(condition, corpus, patterns)
        check_places(cell, self._without_places[tokenised])
        check_seen(cell)
        trained = list(self._training(cell, corpus, patterns_key))
        goals: list[str] = [] if cell.attacks else [step.key for step in trained]
        rankers: dict[bool, Step] = {}
        for train in trained:
            for name in cell.attacks:
                goals.append(self._attack_on(train, cell, name, rankers, patterns_key))
            if parted:
                goals.append(self._groups_of(train, cell, parted, "groups"))
            if "name" in cell.groups:
                goals.append(self._groups_of(train, cell, parted, "names"))
        if cell.membership:
            goals += self._pool(cell, corpus, patterns, patterns_key)
        key = content_key(dataclasses.asdict(cell), corpus.fingerprint, patterns_key)
        columns = condition_columns(condition, corpus.name)
        keys = tuple(step.key for step in trained)
        return PlannedCell(str(cell), key, columns, cell.models, tuple(goals), keys)

    def _draws(self, condition: Condition, corpus: Corpus) -> None:
        """Raise where a model would have too few sentences; once for all that have as many."""
        asked = condition.corpus, condition.sentences, condition.side, condition.half_seed
        if asked not in self._drawn:
            prepare(condition, corpus=corpus).draw(0)
            self._drawn.add(asked)

    def _training(self, cell: Cell, corpus: Corpus, patterns_key: str) -> Iterator[Step]:
        """Add the steps that train a cell's models."""
        condition = cell.condition
        self._draws(condition, corpus)  # also where these are the attacker's shadow models
        # What decides the weights; names that mean the same training give the same key.
        planted = [
            corpus.fingerprint,
            patterns_key,
            self._decides(dataclasses.replace(condition, **_PLANTING)),
            [condition.copies, condition.label, condition.secrets, condition.controls],
            [condition.sentences, condition.share_valid, condition.side, condition.half_seed],
            *_protects(condition),
            # Of a natural partition: whose each sentence is, which the fingerprint does not count.
            *([[one.beside[name] for one in corpus.train] for name in condition.columns]),
        ]
        for job in train_jobs(cell, corpus.fingerprint):
            decided = [planted, job.seeds, job.order_seed]
            step = Step(
                key=content_key("train", code_version("train"), decided),
                job=job,
                seconds=cost.estimate_training(condition) * len(job.seeds),
            )
            self.steps.setdefault(step.key, step)
            yield step

    def _attack_on(
        self, train: Step, cell: Cell, name: str, rankers: dict[bool, Step], patterns_key: str
    ) -> str:
        """Add one attack on one chunk of trained targets; returns its key."""
        needs = [("target", train.key)]
        seen = () if cell.seen == "final" else (cell.seen,)
        wanted = self._needs(name)
        if "ranker" in wanted:
            initial = "initial" in wanted
            if initial not in rankers:
                rankers[initial] = self._fit(cell, initial, patterns_key)
            needs.append((name, rankers[initial].key))
        job = train.job
        assert isinstance(job, TrainJob)
        attack = Step(
            key=content_key(
                "attack", code_version("attack"), self._attack(name, cell.objective), needs, *seen
            ),
            job=AttackJob(cell.condition, job.fingerprint, name, cell.objective, cell.seen),
            needs=tuple(needs),
            seconds=cost.estimate_attack(cell.condition, cell.seen) * len(job.seeds),
        )
        self.steps.setdefault(attack.key, attack)
        return attack.key

    def _groups(self, cell: Cell) -> list[Any]:
        """Return what decides the groups of a cell: names, and which sentence is in which.

        Raises:
            ModivaError: an unknown grouping, or one that does not part the sentences.
        """
        names = (*cell.groups, *cell.group_column)
        corpus = load_corpus(cell.condition.corpus, cell.group_column)
        return [(name, content_key(groups.grouped(name, corpus))) for name in names]

    def _groups_of(self, train: Step, cell: Cell, parted: list[Any], kind: str) -> str:
        """Add the groups of test sentences of one chunk of trained targets; returns its key."""
        job, needs = train.job, (("target", train.key),)
        assert isinstance(job, TrainJob)
        step = Step(
            key=content_key(kind, code_version("groups"), parted, needs),
            job=GroupsJob(kind, cell.condition, job.fingerprint, cell.groups, cell.group_column),
            needs=needs,
            seconds=cost.estimate_training(cell.condition) * len(job.seeds) / 20,
        )
        self.steps.setdefault(step.key, step)
        return step.key

    def _pool(
        self, cell: Cell, corpus: Corpus, patterns: Sequence[Pattern], patterns_key: str
    ) -> Iterator[str]:
        """Add the pool beside a cell and the inference of its members; yields the keys of that."""
        pool = pool_cell(cell, corpus, [pattern.size for pattern in patterns])
        check_condition(pool.condition, corpus, patterns)
        trained = list(self._training(pool, corpus, patterns_key))
        needs = tuple((f"pool-{number}", step.key) for number, step in enumerate(trained))
        roles = tuple(role for role, _ in needs)
        for kind in ("membership", "records") if cell.vulnerability else ("membership",):
            step = Step(
                key=content_key(kind, code_version("membership"), needs),
                job=MembershipJob(kind, pool.condition, corpus.fingerprint, roles),
                needs=needs,
                seconds=cost.estimate_inference(pool),
            )
            self.steps.setdefault(step.key, step)
            yield step.key

    def _fit(self, cell: Cell, initial: bool, patterns_key: str) -> Step:
        """Add the shadow models of a cell and the ranker that learns from them."""
        corpus = load_corpus(cell.condition.corpus)
        seen = () if cell.seen == "final" else (cell.seen,)
        cells = shadow_cells(cell)
        needs: list[tuple[str, str]] = []
        roles: list[tuple[str, int]] = []
        for number, shadows in enumerate(cells):
            for train in self._training(shadows, corpus, patterns_key):
                roles.append((f"shadows-{len(needs)}", number))
                needs.append((roles[-1][0], train.key))
        fit = Step(
            key=content_key("fit", code_version("fit"), initial, needs, *seen),
            job=FitJob(
                conditions=tuple(shadows.condition for shadows in cells),
                roles=tuple(roles),
                fingerprint=corpus.fingerprint,
                initial=initial,
                seed=cell.seed,
                seen=cell.seen,
            ),
            needs=tuple(needs),
            seconds=cost.estimate_attack(cell.condition) * cell.shadows,
        )
        self.steps.setdefault(fit.key, fit)
        return fit


def check_planting(prepared: Prepared) -> None:
    """Raise on what could not be planted in, or asked of, the targets of a condition."""
    check_condition(prepared.condition, prepared.corpus, prepared.patterns)
    prepared.check_training()
    check_tokens(prepared.condition, prepared.corpus, prepared.patterns)


def check_condition(condition: Condition, corpus: Corpus, patterns: Sequence[Pattern]) -> None:
    """Raise on what could not be planted: too few secrets, or an unknown intent."""
    check_distinct(condition.patterns, patterns)
    for pattern in patterns:
        needed = condition.secrets * (1 + condition.controls)
        if pattern.size < needed:
            raise ModivaError(
                f"--pattern {pattern.name} has {pattern.size} secrets, fewer than the {needed} "
                "that --secrets and --controls ask for: take longer slots or fewer controls"
            )
        if pattern.size > MOST_SECRETS:
            raise ModivaError(
                f"--pattern {pattern.name} has more than 10^300 secrets, too many for any measure: "
                "take fewer slots, or ones of fewer words"
            )
    if condition.label not in ("random", "new", *corpus.intents):
        raise ModivaError(
            f"--label {condition.label}: {corpus.name} has no such intent"
            f"{suggest(condition.label, corpus.intents)}; use random, new or one of "
            f"{some(corpus.intents)}"
        )


def check_places(cell: Cell, without: Sequence[str]) -> None:
    """Raise on attacks that need slots with tokens of their own, where patterns have none.

    Args:
        cell: with its attacks.
        without: names of its patterns whose slots share tokens, or differ in their number.
    """
    refused = [name for name in cell.attacks if get_attack(name).needs_places]
    if refused and without:
        others = [name for name, attack in ATTACKS.items() if not attack.needs_places]
        raise ModivaError(
            f"--attack {refused[0]} needs slots with tokens of their own, and target "
            f"{cell.condition.target} gives pattern {without[0]} none: leave it out, or take one "
            f"of {', '.join(others)}"
        )


def check_seen(cell: Cell) -> None:
    """Raise on attacks that rank nothing, where evidence of several rounds is added up."""
    refused = [name for name in cell.attacks if not get_attack(name).ranks]
    if cell.seen != "final" and refused:
        ranked = [name for name, attack in ATTACKS.items() if attack.ranks]
        raise ModivaError(
            f"--seen {cell.seen} --attack {refused[0]}: a search compares no scores that could be "
            f"added up over rounds; take one of {', '.join(ranked)}"
        )


def check_tokens(
    condition: Condition, corpus: Corpus, patterns: Sequence[Pattern]
) -> tuple[str, ...]:
    """Raise on patterns that no attack could ask a target for.

    Returns:
        Names of the patterns whose slots have no tokens of their own.
    """
    spec, _ = resolve(condition)
    words = candidate_words(patterns)
    target = build(spec, texts=[], intents=corpus.intents, extra_words=words)
    without = []
    for pattern in patterns:
        asked = _one_slot_a_space(pattern) if spec.is_own else pattern
        problem = build_completion(target.tokenizer, target.model, pattern=asked, label=0)
        if pattern.glued if spec.is_own else not problem.placed:
            without.append(pattern.name)
    return tuple(without)


def _one_slot_a_space(pattern: Pattern) -> Pattern:
    """Return the pattern with further slots of a space filled: own tokenizers keep words apart."""
    seen: set[SecretSpace] = set()
    parts: list[str | SecretSpace] = []
    for part in pattern.parts:
        if isinstance(part, str):
            parts.append(part)
        else:
            parts.append(part.options[0] if part in seen else part)
            seen.add(part)
    return dataclasses.replace(pattern, parts=tuple(parts))


# What planting decides of a condition: no part of how its targets are trained.
_PLANTING: dict[str, Any] = {
    field.name: field.default
    for field in dataclasses.fields(Condition)
    if field.name
    in ("corpus", "patterns", "repetitions", "label", "secrets", "controls", "share_valid",
        "patterns_file", "sentences", "side", "half_seed", "privatize", "word_space",
        "autoencoder")
}  # fmt: skip


def _decides(condition: Condition) -> Any:
    """Return all that decides the training of a condition's targets, but the seeds."""
    spec, config = resolve(condition)
    decides = dataclasses.asdict(config)
    for name in ("seed", "order_seed", "device"):
        del decides[name]
    # The weights that a folder of a checkpoint brings are data.
    weights = "" if spec.is_own else content(Path(spec.architecture))
    training = condition.training
    method = [] if training is None else [condition.method, dataclasses.asdict(training)]
    if isinstance(training, Distilled) and training.swaps:
        method.append(content(Path(training.swaps)))
    return [dataclasses.asdict(spec), decides, weights, *method]


def _protects(condition: Condition) -> list[Any]:
    """Return what decides how sentences are rewritten; nothing without text protection."""
    if condition.privatize == NONE:
        return []
    files = [condition.word_space, condition.autoencoder or ""]
    return [condition.privatize, [content(Path(name)) for name in files if name != "minilm"]]


def _needs(name: str) -> frozenset[str]:
    return frozenset(get_attack(name).needs)


def _attack_facts(name: str, objective: str) -> Any:
    return [name, audited_attack(name, objective).settings]


def _patterns_key(patterns: Sequence[Pattern]) -> str:
    """Return a hash of names, templates and everything that their slots may hold."""
    digest = hashlib.sha256()
    for pattern in patterns:
        digest.update(f"{pattern.name}\n{pattern.template}\n".encode())
        for space in dict.fromkeys(pattern.slots):
            digest.update("\0".join((space.name, *space.options, "")).encode())
    return digest.hexdigest()
