"""The step `attack`: one attack on the targets of one chunk, scored against their ledgers."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from attacks import (
    RANKED,
    Attack,
    Completion,
    Ranker,
    build_completion,
    get_attack,
    score_choices,
    score_space,
)
from attacks.labels import BY_NAME, resolve_label
from attacks.ranker import Described, Ranked, RankedAttack
from attacks.search import Exhaustive
from canaries import Canary, Pattern
from modiva.corpora import Corpus
from modiva.measure import SampleScores, SpaceScores, score_rows
from modiva.privacy import plan_from
from modiva.studies.engines.task import Context, Rows
from modiva.studies.spec import LEARNED, Cell
from modiva.studies.steps.initial import initial_model
from modiva.studies.steps.planting import cell_patterns, prepare_process
from modiva.studies.steps.train import Target, checked_corpus, load_targets
from modiva.training import TrainResult
from modiva.training.seeds import resolve_device

# Spaces up to this size are enumerated for the rank of a secret; larger ones are sampled.
ENUMERATED = 50_000
REFERENCES = 10_000

# What rankers see of the candidates, by (model, canary): fixed and learned ones share it.
Known = defaultdict[tuple[int, str], dict[bool, Described]]
# Problems by (tokenizer, pattern): models of one cell mostly have equal tokenizers.
Tokenised = dict[tuple[str, Pattern], Completion]


def run(settings: Mapping[str, Any], context: Context) -> Rows:
    """Attack every model of the input `target` with one attack; a row a canary and control."""
    prepare_process()
    cell = Cell.from_dict(settings["cell"])
    corpus = checked_corpus(cell, settings["data"])
    patterns = cell_patterns(cell, corpus)
    name = settings["attack"]
    ranked = name in RANKED
    ranker = Ranker.load(context.inputs[name]) if name in LEARNED else None
    # Several attacks on one chunk are one task: targets are loaded once.
    if "targets" not in context.shared:
        targets = list(load_targets(context.inputs["target"]))
        for target in targets:
            target.classifier.model.to(resolve_device(context.device))  # type: ignore[arg-type]
        context.shared.update(targets=targets, known=defaultdict(dict), tokenised={})
    tokenised: Tokenised = context.shared["tokenised"]
    rows: Rows = []
    for target in context.shared["targets"]:
        if ranked:
            attack = RANKED[name]
            known: Known = context.shared["known"]
            rows += rank_target(cell, corpus, patterns, target, attack, ranker, known, tokenised)
        else:
            search = named_attack(name, cell.objective)
            rows += attack_target(cell, corpus, patterns, target, search, tokenised)
    return rows


def named_attack(name: str, objective: str) -> Attack:
    """An attack with the objective of its cell; a recipe keeps its paper's."""
    attack = get_attack(name)
    return attack if attack.source else get_attack(name, objective=objective)


def attack_target(
    cell: Cell,
    corpus: Corpus,
    patterns: Sequence[Pattern],
    target: Target,
    attack: Attack,
    tokenised: Tokenised,
) -> Rows:
    """Attack every canary of one target and score what came out.

    The attack gets the patterns and the labels; the ledger's secrets are read only afterwards,
    by the scoring. Rank and exposure belong to a score of the whole space: of the searches only
    `exhaustive` is one, its objective. What another search visits says nothing of the rest.
    """
    model = target.classifier.model
    asked = _problems(cell, patterns, target, tokenised)
    problems = [problem for _, _, problem in asked]
    found = attack.run(model, problems, seed=target.model_seed)
    rows = []
    for (pattern, canary, problem), reconstruction in zip(asked, found, strict=True):
        scores = None
        if isinstance(attack.search, Exhaustive):
            scores = _scores(model, problem, attack, pattern, canary, target.model_seed)
        rows += score_rows(
            reconstruction,
            canary.secret,
            canary.controls,
            _base(cell, corpus, target, canary, attack.name, attack.objective.name),
            slot_sizes=[len(slot) for slot in pattern.slots],
            scores=scores,
        )
    return rows


def rank_target(
    cell: Cell,
    corpus: Corpus,
    patterns: Sequence[Pattern],
    target: Target,
    attack: RankedAttack,
    ranker: Ranker | None,
    known: Known,
    tokenised: Tokenised,
) -> Rows:
    """Rank the candidates of every canary of one target; scored as `attack_target` scores."""
    model = target.classifier.model
    asked = _problems(cell, patterns, target, tokenised)
    initial = initial_model(cell, corpus, patterns, target) if attack.initial else None
    orders = attack.run(
        model,
        [problem for _, _, problem in asked],
        ranker=ranker,
        initial=initial,
        seed=target.model_seed,
        known=[known[target.model_seed, problem.name] for _, _, problem in asked],
    )
    rows = []
    for (pattern, canary, problem), order in zip(asked, orders, strict=True):
        scores = order_scores(order, problem, pattern) if pattern.size <= ENUMERATED else None
        rows += score_rows(
            order.reconstruction(problem, attack.name),
            canary.secret,
            canary.controls,
            _base(cell, corpus, target, canary, attack.name, attack.name),
            slot_sizes=[len(slot) for slot in pattern.slots],
            scores=scores,
        )
    return rows


def order_scores(order: Ranked, problem: Completion, pattern: Pattern) -> SpaceScores:
    """A ranker's order as scores of the whole space; what it did not look at is last, tied."""
    every = np.full(pattern.size, np.inf)
    looked_at = [pattern.index(problem.secret(choices)) for choices in order.choices.tolist()]
    every[looked_at] = -order.utility.numpy()
    return SpaceScores(every, pattern.index)


def _problems(
    cell: Cell, patterns: Sequence[Pattern], target: Target, tokenised: Tokenised
) -> list[tuple[Pattern, Canary, Completion]]:
    """Every canary of a target with its pattern and what the attacker knows of it."""
    model, tokenizer = target.classifier.model, target.classifier.tokenizer
    canaries = iter(target.ledger.canaries)  # the secrets of one pattern after the other
    spelling = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    asked = []
    for pattern in patterns:
        if (spelling, pattern) not in tokenised:
            problem = build_completion(tokenizer, model, pattern=pattern, label=0)
            tokenised[spelling, pattern] = problem
        shared = tokenised[spelling, pattern]
        for canary in islice(canaries, cell.secrets):
            label = resolve_label(model, BY_NAME + canary.label)
            asked.append((pattern, canary, replace(shared, label=label, name=canary.id)))
    return asked


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
    cell: Cell, corpus: Corpus, target: Target, canary: Canary, attack: str, objective: str
) -> dict[str, Any]:
    """The columns that say what was attacked."""
    result = target.result
    return {
        **cell_columns(cell, corpus),
        "sentences": target.sentences,
        "epsilon": result.epsilon,
        "delta": result.delta,
        "group_epsilon": _group_epsilon(result, cell.repetitions),
        "pattern": canary.pattern.partition(":")[0],
        "length": len(canary.secret),
        "model_seed": target.model_seed,
        "canary": canary.id,
        "label": canary.label,
        "attack": attack,
        "objective": objective,
        "test_accuracy": result.test_accuracy,
        "majority_accuracy": result.majority_accuracy,
        "epochs": result.epochs_run,
    }


def cell_columns(cell: Cell, corpus: Corpus) -> dict[str, Any]:
    """The columns of a row that are its cell's: equal targets under two names share the rest."""
    return {
        "corpus": corpus.name,
        "target": cell.target,
        "size": cell.size,
        "defense": cell.defense,
        "noise_multiplier": cell.noise,
        "repetitions": cell.repetitions,
    }


def _group_epsilon(result: TrainResult, repetitions: int) -> float | None:
    """Epsilon of a secret that `repetitions` sentences hold; None without a bound."""
    if result.plan is None:
        return None
    bound = plan_from(result.plan).group_epsilon(repetitions)
    return bound if math.isfinite(bound) else None
