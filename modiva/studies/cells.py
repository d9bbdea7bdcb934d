"""One cell: plant fresh secrets, train its targets, attack them and score what came back.

A cell is a pure function of its settings, the corpus and the code: no clock, no global state.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attacks import Attack, build_completion, get_attack, score_choices, score_space
from canaries import (
    Canary,
    Ledger,
    Pattern,
    Planted,
    Planting,
    candidate_words,
    get_pattern,
    load_patterns,
    plant,
)
from modiva.classifiers import Classifier, build, parse_target
from modiva.corpora import Corpus, load
from modiva.measure import SampleScores, SpaceScores, score_rows
from modiva.privacy import plan_from
from modiva.studies.spec import Cell
from modiva.training import TrainResult, apply_defense, default_config, train_stack

# Spaces up to this size are enumerated for the rank of a secret; larger ones are sampled.
ENUMERATED = 50_000
REFERENCES = 10_000
# Models trained side by side: enough to fill a core, few enough for a small memory.
STACK = 20


@dataclass(frozen=True)
class Target:
    """One trained target with what was planted in it."""

    classifier: Classifier
    result: TrainResult
    planted: Planted
    model_seed: int


@functools.lru_cache(maxsize=4)
def load_corpus(name: str) -> Corpus:
    """Load a corpus once a process."""
    return load(name)


def cell_patterns(cell: Cell, corpus: Corpus) -> tuple[Pattern, ...]:
    """The patterns of a cell; word slots take their options from the corpus's own words."""
    patterns, spaces = load_patterns(cell.patterns_file) if cell.patterns_file else ({}, {})
    vocabulary = corpus.vocabulary(min_count=2)
    return tuple(
        get_pattern(name, vocabulary=vocabulary, patterns=patterns, spaces=spaces)
        for name in cell.pattern
    )


def check_tokens(cell: Cell, corpus: Corpus, patterns: Sequence[Pattern]) -> None:
    """Raise on patterns that a pretrained target's own tokenizer cannot attack.

    Targets of our own are built with every word of the patterns, so there is nothing to check.
    """
    spec = parse_target(cell.target, cell.size)
    if spec.is_own:
        return
    target = build(spec, texts=[], intents=corpus.intents)
    for pattern in patterns:
        build_completion(target.tokenizer, target.model, pattern=pattern, label=corpus.intents[0])


def model_seeds(cell: Cell) -> list[int]:
    """Seeds of the targets: the same in every cell of a study, so that cells are paired."""
    return [cell.seed * 100_000 + index for index in range(cell.models)]


def plant_targets(cell: Cell, corpus: Corpus, patterns: Sequence[Pattern]) -> list[Planted]:
    """Draw the training sentences of every target and plant its own secrets among them."""
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
    planted = []
    for seed in model_seeds(cell):
        some = 0 < cell.sentences < len(corpus.train)
        data = corpus.subset(cell.sentences, seed=seed) if some else corpus
        planted.append(
            plant(data.train, data.valid, plantings, seed=seed, share_valid=cell.share_valid)
        )
    return planted


def train_targets(
    cell: Cell, corpus: Corpus, patterns: Sequence[Pattern], device: str = "auto"
) -> list[Target]:
    """Train the cell's targets, side by side where their architecture and training allow it."""
    spec, config = apply_defense(
        cell.defense,
        parse_target(cell.target, cell.size),
        default_config(cell.target, size=cell.size, epochs=cell.epochs, device=device),
        noise_multiplier=cell.noise if cell.private else None,
    )
    if cell.epochs is not None:  # a defense changes the default, not what was asked for
        config = dataclasses.replace(config, epochs=cell.epochs)
    planted = plant_targets(cell, corpus, patterns)
    words = candidate_words(patterns)
    targets: list[Target] = []
    for start in range(0, cell.models, STACK):
        chunk = range(start, min(start + STACK, cell.models))
        seeds = [model_seeds(cell)[index] for index in chunk]
        classifiers = [
            build(
                spec,
                texts=[text for text, _ in planted[index].train],
                intents=planted_intents(corpus, planted[index].ledger),
                extra_words=words,
                seed=seed,
            )
            for index, seed in zip(chunk, seeds, strict=True)
        ]
        datas = [(planted[index].train, planted[index].valid, corpus.test) for index in chunk]
        results = train_stack(
            classifiers,
            datas,
            # Models of one stack share the order of batch lengths: another stack, another order.
            dataclasses.replace(config, order_seed=seeds[0]),
            seeds=seeds,
            progress=False,
        )
        targets += [
            Target(classifier, result, planted[index], seed)
            for classifier, result, index, seed in zip(
                classifiers, results, chunk, seeds, strict=True
            )
        ]
    return targets


def attack_target(
    cell: Cell, corpus: Corpus, patterns: Sequence[Pattern], target: Target
) -> list[dict[str, Any]]:
    """Attack every canary of one target and score what came out.

    The attacks get the patterns and the labels; the ledger's secrets are read only afterwards,
    by the scoring.
    """
    model, tokenizer = target.classifier.model, target.classifier.tokenizer
    canaries = target.planted.ledger.canaries
    # The ledger lists the secrets of one pattern after the other.
    patterns = [pattern for pattern in patterns for _ in range(cell.secrets)]
    problems = [
        build_completion(tokenizer, model, pattern=pattern, label=canary.label, name=canary.id)
        for pattern, canary in zip(patterns, canaries, strict=True)
    ]
    rows = []
    ranks: dict[tuple[str, str], SpaceScores | SampleScores] = {}
    for name in cell.attack:
        attack = cell_attack(cell, name)
        found = attack.run(model, problems, seed=target.model_seed)
        for pattern, canary, problem, reconstruction in zip(
            patterns, canaries, problems, found, strict=True
        ):
            key = (attack.objective.name, canary.id)
            if key not in ranks:
                ranks[key] = _scores(model, problem, attack, pattern, canary, target.model_seed)
            rows += score_rows(
                reconstruction,
                canary.secret,
                canary.controls,
                _base(cell, corpus, target, canary, attack),
                slot_sizes=[len(slot) for slot in pattern.slots],
                scores=ranks[key],
            )
    return rows


def cell_attack(cell: Cell, name: str) -> Attack:
    """An attack with the cell's objective; a recipe keeps its paper's."""
    attack = get_attack(name)
    return attack if attack.source else get_attack(name, objective=cell.objective)


def run_cell(cell: Cell, device: str = "auto") -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Train, attack and score one cell; return its rows and the seconds of each phase."""
    started = time.perf_counter()
    corpus = load_corpus(cell.corpus)
    patterns = cell_patterns(cell, corpus)
    targets = train_targets(cell, corpus, patterns, device)
    trained = time.perf_counter()
    rows = [row for target in targets for row in attack_target(cell, corpus, patterns, target)]
    attacked = time.perf_counter()
    return rows, {"training": trained - started, "attacks": attacked - trained}


def planted_intents(corpus: Corpus, ledger: Ledger) -> list[str]:
    """The labels of a target: the corpus's intents, and a canary's own if it is new."""
    return sorted({*corpus.intents, *(canary.label for canary in ledger.canaries)})


def _scores(
    model: Any, problem: Any, attack: Attack, pattern: Pattern, canary: Canary, seed: int
) -> SpaceScores | SampleScores:
    """Score the whole space, or a sample of it where it is too large."""
    if pattern.size <= ENUMERATED:
        return SpaceScores(score_space(model, problem, attack.objective), pattern.index)
    rng = np.random.default_rng(np.random.SeedSequence([seed, REFERENCES]))
    own = (canary.secret, *canary.controls)
    references = pattern.draw(rng, REFERENCES, exclude={pattern.index(one) for one in own})
    scores = score_choices(model, problem, attack.objective, [*own, *references])
    return SampleScores(
        references=scores[len(own) :],
        scores={tuple(one): float(score) for one, score in zip(own, scores, strict=False)},
    )


def _base(
    cell: Cell, corpus: Corpus, target: Target, canary: Canary, attack: Attack
) -> dict[str, Any]:
    """The columns that say what was attacked."""
    result = target.result
    return {
        "corpus": corpus.name,
        "target": cell.target,
        "size": cell.size,
        "sentences": len(target.planted.train),
        "defense": cell.defense,
        "noise_multiplier": cell.noise,
        "epsilon": result.epsilon,
        "delta": result.delta,
        "group_epsilon": _group_epsilon(result, cell.repetitions),
        "pattern": canary.pattern.partition(":")[0],
        "length": len(canary.secret),
        "repetitions": cell.repetitions,
        "model_seed": target.model_seed,
        "canary": canary.id,
        "label": canary.label,
        "attack": attack.name,
        "objective": attack.objective.name,
        "test_accuracy": result.test_accuracy,
        "majority_accuracy": result.majority_accuracy,
        "epochs": result.epochs_run,
    }


def _group_epsilon(result: TrainResult, repetitions: int) -> float | None:
    """Epsilon of a secret that `repetitions` sentences hold; None without a bound."""
    if result.plan is None:
        return None
    bound = plan_from(result.plan).group_epsilon(repetitions)
    return bound if math.isfinite(bound) else None
