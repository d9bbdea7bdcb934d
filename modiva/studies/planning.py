"""From a study to its plan: everything is checked before work starts, then every step is named."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from attacks import RANKED, build_completion, get_attack, get_objective
from attacks.problem import some
from canaries import Pattern, SecretSpace, candidate_words, load_patterns
from canaries.spaces import suggest
from modiva.classifiers import TargetSpec, build, parse_target
from modiva.corpora import Corpus
from modiva.errors import ModivaError
from modiva.studies.code import code_version
from modiva.studies.cost import estimate_attack, estimate_training
from modiva.studies.plan import Plan, PlannedCell, Step
from modiva.studies.sources import content, signature
from modiva.studies.spec import LEARNED, AuditSpec, Cell, Study, content_key
from modiva.studies.steps.attack import cell_columns, named_attack
from modiva.studies.steps.fit import shadow_cells
from modiva.studies.steps.planting import cell_patterns, load_corpus, model_seeds
from modiva.studies.steps.train import chunks, order_seed, target_settings
from modiva.training import DEFENSES, TrainConfig, parse_defense

# Settings that rows of one group must have in common.
_POOLED = ("objective", "size", "sentences", "epochs", "label", "secrets", "share_valid")


def with_noise(defense: str, noise: float) -> str:
    """The name of `defense` once `noise` says whether training is private."""
    parts = parse_defense(defense)
    private = [part for part in parts if DEFENSES[part].private] or ["dp"]
    rest = [part for part in parts if part != "none" and not DEFENSES[part].private]
    return "+".join(rest + (private if noise > 0 else [])) or "none"


def check_names(spec: AuditSpec) -> None:
    """Raise on a target, defense, objective or attack that there is not."""
    for target in spec.target:
        parse_target(target, spec.size)
    for defense in spec.defense:
        parse_defense(defense)
    get_objective(spec.objective)
    for attack in spec.attack:
        if attack not in RANKED:
            get_attack(attack)
    if spec.patterns_file:
        load_patterns(Path(spec.patterns_file))


def check_grids(study: Study) -> None:
    """Raise on grids whose results would be pooled as if they were of more models, or alike.

    Raises:
        ModivaError: what differs, or what is measured twice.
    """
    for name in _POOLED:
        values = list(dict.fromkeys(getattr(grid, name) for grid in study.grids))
        if len(values) > 1:
            raise ModivaError(
                f"grids differ in {name} ({values[0]!r} and {values[1]!r}), which the results do "
                "not tell apart: make them studies of their own; with one --store they share what "
                "is equal"
            )
    measured: dict[Any, Cell] = {}
    for cell in study.cells():
        condition = (cell.corpus, cell.target, cell.defense, cell.noise, cell.repetitions)
        for each in itertools.product(cell.pattern, cell.attack):
            other = measured.setdefault((condition, cell.seed, *each), cell)
            if other is not cell:
                raise ModivaError(
                    f"two grids measure {cell} seed {cell.seed} with pattern {each[0]} and attack "
                    f"{each[1]}, so its models would count twice: leave it out of one of them"
                )


def check_study(study: Study) -> None:
    """Check what can be checked of a study without its corpora.

    Raises:
        ModivaError, CanaryError, AttackError: an unknown name, or grids that do not go together.
    """
    for grid in study.grids:
        check_names(grid)
    check_grids(study)


def plan_study(study: Study) -> Plan:
    """Check a study against its corpora and name its steps.

    Raises:
        ModivaError, CanaryError, AttackError: the first thing that would not work, and the remedy.
    """
    check_study(study)
    planner = _Planner()
    cells = [planner.cell(cell) for cell in study.cells()]
    goals = {key for cell in cells for key in cell.goals}
    return Plan(
        signature=signature(study),
        settings=study.as_dict(),
        cells=tuple(cells),
        artefacts=tuple(key for key in planner.steps if key not in goals),
        steps=planner.steps,
    )


class _Planner:
    """Gathers steps; what many cells share is worked out once."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._patterns: dict[Any, tuple[tuple[Pattern, ...], str]] = {}
        self._tokenised: set[Any] = set()
        self._settings = lru_cache(maxsize=None)(_settings)
        self._attack = lru_cache(maxsize=None)(_attack_facts)

    def cell(self, cell: Cell) -> PlannedCell:
        """Check a cell and add its steps."""
        corpus = load_corpus(cell.corpus)
        shared = (cell.corpus, cell.pattern, cell.patterns_file)
        if shared not in self._patterns:
            patterns = cell_patterns(cell, corpus)
            self._patterns[shared] = patterns, _patterns_key(patterns)
        patterns, patterns_key = self._patterns[shared]
        check_cell(cell, corpus, patterns)
        # Own targets of one corpus share their tokenizer.
        own = parse_target(cell.target, cell.size).is_own
        tokenised = (*shared, None if own else cell.target)
        if tokenised not in self._tokenised:
            check_tokens(cell, corpus, patterns)
            self._tokenised.add(tokenised)
        goals: list[str] = []
        rankers: dict[bool, Step] = {}
        for train, models in self._training(cell, corpus, patterns_key):
            for name in cell.attack:
                goals.append(self._attack_on(train, models, cell, name, rankers, patterns_key))
        key = content_key(dataclasses.asdict(cell), corpus.fingerprint, patterns_key)
        return PlannedCell(str(cell), key, cell_columns(cell, corpus), cell.models, tuple(goals))

    def _training(
        self, cell: Cell, corpus: Corpus, patterns_key: str
    ) -> Iterator[tuple[Step, int]]:
        """Add the steps that train a cell's models; gives each with the number of its models."""
        spec, config, target_facts = self._settings(
            cell.target, cell.size, cell.defense, cell.noise, cell.epochs
        )
        # What decides the weights; names that mean the same training give the same key.
        planted = [
            corpus.fingerprint,
            patterns_key,
            target_facts,
            [cell.repetitions, cell.label, cell.secrets, cell.controls],
            [cell.sentences, cell.share_valid],
            [cell.side, cell.seed if cell.side in ("targets", "shadows") else None],
        ]
        seeds = model_seeds(cell)
        for models in chunks(cell, spec, config):
            content_of_chunk = [planted, [seeds[i] for i in models], order_seed(cell, models.start)]
            train = Step(
                key=content_key("train", code_version("train"), content_of_chunk),
                kind="train",
                settings={
                    "cell": dataclasses.asdict(cell),
                    "data": corpus.fingerprint,
                    "start": models.start,
                    "stop": models.stop,
                },
                seconds=estimate_training(cell) * len(models),
            )
            self.steps.setdefault(train.key, train)
            yield train, len(models)

    def _attack_on(
        self,
        train: Step,
        models: int,
        cell: Cell,
        name: str,
        rankers: dict[bool, Step],
        patterns_key: str,
    ) -> str:
        """Add one attack on one chunk of trained targets; returns its key."""
        needs = [("target", train.key)]
        if name in LEARNED:
            initial = RANKED[name].initial
            if initial not in rankers:
                rankers[initial] = self._fit(cell, initial, patterns_key)
            needs.append((name, rankers[initial].key))
        attack = Step(
            key=content_key(
                "attack", code_version("attack"), self._attack(name, cell.objective), needs
            ),
            kind="attack",
            settings={
                "cell": dataclasses.asdict(cell),
                "data": train.settings["data"],
                "attack": name,
            },
            needs=tuple(needs),
            seconds=estimate_attack(cell) * models,
        )
        self.steps.setdefault(attack.key, attack)
        return attack.key

    def _fit(self, cell: Cell, initial: bool, patterns_key: str) -> Step:
        """Add the shadow models of a cell and the ranker that learns from them."""
        corpus = load_corpus(cell.corpus)
        cells = shadow_cells(cell)
        needs: list[tuple[str, str]] = []
        roles: list[tuple[str, int]] = []
        for number, shadows in enumerate(cells):
            for train, _ in self._training(shadows, corpus, patterns_key):
                roles.append((f"shadows-{len(needs)}", number))
                needs.append((roles[-1][0], train.key))
        fit = Step(
            key=content_key("fit", code_version("fit"), initial, needs),
            kind="fit",
            settings={
                "cells": [dataclasses.asdict(shadows) for shadows in cells],
                "data": corpus.fingerprint,
                "roles": roles,
                "initial": initial,
            },
            needs=tuple(needs),
            seconds=estimate_attack(cell) * cell.shadows,
        )
        self.steps.setdefault(fit.key, fit)
        return fit


def check_cell(cell: Cell, corpus: Corpus, patterns: Sequence[Pattern]) -> None:
    """Raise on what a cell could not be run with: too few secrets, or an intent unknown."""
    for pattern in patterns:
        needed = cell.secrets * (1 + cell.controls)
        if pattern.size < needed:
            raise ModivaError(
                f"--pattern {pattern.name} has {pattern.size} secrets, fewer than the {needed} "
                "that --secrets and --controls ask for: take longer slots or fewer controls"
            )
    if cell.label not in ("random", "new", *corpus.intents):
        raise ModivaError(
            f"--label {cell.label}: {corpus.name} has no such intent"
            f"{suggest(cell.label, corpus.intents)}; use random, new or one of "
            f"{some(corpus.intents)}"
        )


def check_tokens(cell: Cell, corpus: Corpus, patterns: Sequence[Pattern]) -> None:
    """Raise on patterns that a target's tokenizer splits or merges, so that none can attack it."""
    spec = parse_target(cell.target, cell.size)
    words = candidate_words(patterns)
    target = build(spec, texts=[], intents=corpus.intents, extra_words=words)
    for pattern in patterns:
        asked = _one_slot_a_space(pattern) if spec.is_own else pattern
        build_completion(target.tokenizer, target.model, pattern=asked, label=0)


def _one_slot_a_space(pattern: Pattern) -> Pattern:
    """The pattern with further slots of a space filled: own tokenizers keep words apart."""
    seen: set[SecretSpace] = set()
    parts: list[str | SecretSpace] = []
    for part in pattern.parts:
        if isinstance(part, str):
            parts.append(part)
        else:
            parts.append(part.options[0] if part in seen else part)
            seen.add(part)
    return dataclasses.replace(pattern, parts=tuple(parts))


def _settings(
    target: str, size: Any, defense: str, noise: float, epochs: int | None
) -> tuple[TargetSpec, TrainConfig, Any]:
    """A target's settings with its defense, and all that decides its training but the seeds."""
    base = Cell(
        corpus="", target=target, defense=defense, noise=noise, repetitions=0, pattern=(),
        attack=(), objective="", models=1, seed=0, size=size, sentences=0, epochs=epochs,
        label="", secrets=1, controls=1, share_valid=False, patterns_file=None, stack=1,
        shadows=1, side="all",
    )  # fmt: skip
    spec, config = target_settings(base)
    decides = dataclasses.asdict(config)
    for name in ("seed", "order_seed", "device"):
        del decides[name]
    # The weights that a folder of a checkpoint brings are data.
    weights = "" if spec.is_own else content(Path(spec.architecture))
    return spec, config, [dataclasses.asdict(spec), decides, weights]


def _attack_facts(name: str, objective: str) -> Any:
    if name in RANKED:
        return [name]
    attack = named_attack(name, objective)
    return [name, attack.objective.name, dict(attack.settings)]


def _patterns_key(patterns: Sequence[Pattern]) -> str:
    """A hash of names, templates and everything that their slots may hold."""
    digest = hashlib.sha256()
    for pattern in patterns:
        digest.update(f"{pattern.name}\n{pattern.template}\n".encode())
        for space in dict.fromkeys(pattern.slots):
            digest.update("\0".join((space.name, *space.options, "")).encode())
    return digest.hexdigest()
