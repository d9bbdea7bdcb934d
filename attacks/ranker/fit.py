"""Learn to rank from shadow models: models of the attacker's own, with known secrets.

The weights are those of a conditional logit: under them the true candidate beats the others of its
problem.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.problem import Completion, problem_generators
from attacks.ranker.calibration import Effects, Usual, label_name, option_effects, problem_key
from attacks.ranker.candidates import (
    Described,
    Describer,
    Effort,
    effort_for,
    neighbours,
    second_look,
)
from attacks.ranker.margins import draw, margin_oracle
from attacks.ranker.match import MATCH, Match
from attacks.ranker.ranker import USUAL, Ranker

NEGATIVES = 3_000  # candidates drawn of each problem to compare with
PENALTY = 0.03  # where too few models are there to choose one
# Tried by cross-validation, the strongest first.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01)
FOLDS = 5
CHOOSING = 1_000  # negatives of each problem in cross-validation
DRAWN = 100  # candidates that a climb has not met yet, seen in fitting where there is one


@dataclass(frozen=True, eq=False)
class Shadow:
    """A model that the attacker trained on data of their own, with a secret that they planted.

    Args:
        model: trained as the targets are.
        problem: the sentence with slots, for this model.
        choices: option of each slot of the planted secret.
        initial: the weights before training, if the ranker is to use the target's.
    """

    model: PreTrainedModel
    problem: Completion
    choices: tuple[int, ...]
    initial: PreTrainedModel | None = None


class Lesson(NamedTuple):
    """One problem to learn from: features (K, F), the row of the true candidate, the model."""

    features: Tensor
    true: int
    model: Hashable


def fit_ranker(
    shadows: Sequence[Shadow],
    *,
    facts: Mapping[str, Any] | None = None,
    penalty: float | None = None,
    effort: Effort | None = None,
    updates: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> Ranker:
    """Learn to rank from shadow models, all with initial weights or all without.

    Args:
        shadows: a few dozen; 20 give most of the gain.
        facts: kept in the ranker's file.
        penalty: of the conditional logit; None chooses by cross-validation over the models.
        effort: how many candidates are looked at, in fitting and by the ranker; None chooses by
            the size of the models.
        updates: the models are a few steps away from the initial weights, as the updates of
            clients are, so that their match is a feature.
        seed: of every random draw.
        progress: show a bar.

    Raises:
        AttackError: no shadows, or only some with initial weights.
    """
    if not shadows:
        raise AttackError("a ranker needs at least one shadow model with a known secret")
    known = {shadow.initial is not None for shadow in shadows}
    if len(known) > 1:
        raise AttackError("give the initial weights of all shadow models, or of none")
    effort = effort or effort_for(shadows[0].model)
    quiet = None if progress else True
    looked = [
        _look(shadow, effort, seed, updates)
        for shadow in tqdm(shadows, desc="shadow models", disable=quiet, leave=False)
    ]
    pairs = list(zip(shadows, looked, strict=True))
    usual = Usual.of([(problem_key(shadow.problem), own) for shadow, (_, own) in pairs])
    described = [_calibrated(found, shadow, usual, own) for shadow, (found, own) in pairs]
    lessons = [
        Lesson(found.features, _row(found.choices, shadow), id(shadow.model))
        for shadow, found in zip(shadows, described, strict=True)
    ]
    weights, outside, chosen = _learn(lessons, penalty, seed)
    second: dict[str, float] = {}
    if known == {True}:
        bar = tqdm(shadows, desc="second look", disable=quiet, leave=False)
        names, again = second_lessons(bar, described, outside, effort)
        if again:
            second = dict(zip(names, _learn(again, penalty, seed)[0].tolist(), strict=True))
    return Ranker(
        dict(zip(described[0].names, weights.tolist(), strict=True)),
        second,
        {**(facts or {}), "penalty": chosen},
        known == {True},
        usual,
        effort,
    )


def _look(shadow: Shadow, effort: Effort, seed: int, updates: bool) -> tuple[Described, Effects]:
    """Describe candidates of a shadow model, the secret among them; and effects of options."""
    include = torch.tensor([shadow.choices])
    (generator,) = problem_generators([shadow.problem], seed)
    with margin_oracle(shadow.model, shadow.problem) as oracle:
        describer = Describer(oracle, generator, shadow.initial, effort)
        pool = describer.pool()
        if len(pool) < shadow.problem.size:  # what a climb has to tell from the secret
            near = neighbours(shadow.problem, [shadow.choices], describer.shortlist())
            drawn = draw(shadow.problem.sizes, DRAWN, generator)
            include = torch.cat([include, near, drawn])
        found, effects = describer.look(pool, include), option_effects(oracle, generator)
    if updates and shadow.initial is not None:
        match = Match(shadow.model, shadow.initial, shadow.problem)
        found = found.joined({MATCH: match(found.choices)})
    return found, effects


def _calibrated(found: Described, shadow: Shadow, usual: Usual, own: Effects) -> Described:
    """Add what is usual of the candidates to the other shadow models."""
    label = label_name(shadow.model, shadow.problem)
    return found.joined({USUAL: usual.feature(shadow.problem, label, found.choices, without=own)})


def _row(choices: Tensor, shadow: Shadow) -> int:
    return int((choices == torch.tensor([shadow.choices])).all(1).nonzero()[0, 0])


def second_lessons(
    shadows: Sequence[Shadow],
    described: Sequence[Described],
    weights: Sequence[Tensor],
    effort: Effort,
) -> tuple[tuple[str, ...], list[Lesson]]:
    """Take a second look at the best candidates of each model; return names and lessons.

    A secret that is not among the best of its model teaches nothing of how to order them.

    Args:
        shadows: with initial weights.
        described: the candidates of each.
        weights: (F,) of the first utility, for each of a fit that the model had no part in.
        effort: how many of the best, and how closely.
    """
    names: tuple[str, ...] = ()
    lessons = []
    for shadow, every, first in zip(shadows, described, weights, strict=True):
        best = (every.features @ first).topk(min(effort.second, len(every.choices))).indices
        true = (best == _row(every.choices, shadow)).nonzero()
        if not len(true):
            continue
        assert shadow.initial is not None
        again = second_look(
            shadow.model, shadow.problem, shadow.initial, every, best, first, effort
        )
        names = again.names
        lessons.append(Lesson(again.features, int(true[0, 0]), id(shadow.model)))
    return names, lessons


def _learn(
    lessons: Sequence[Lesson], penalty: float | None, seed: int
) -> tuple[Tensor, list[Tensor], float]:
    """Fit weights (F,), the weights without each problem's model, and the penalty.

    Where models are too few to leave some out, all share the weights of all.
    """
    features, true, models = (list(column) for column in zip(*lessons, strict=True))
    outside = None
    if penalty is None:
        penalty = PENALTY
        if len(set(models)) >= FOLDS:
            penalty, outside = cross_validate(features, true, models, seed=seed)
    weights = conditional_logit(features, true, penalty=penalty, seed=seed)
    return weights, outside or [weights] * len(features), penalty


def conditional_logit(
    features: Sequence[Tensor],
    true: Sequence[int],
    *,
    penalty: float = PENALTY,
    seed: int = 0,
    negatives: int = NEGATIVES,
    start: Tensor | None = None,
) -> Tensor:
    """Maximise the mean log-probability of the true candidates, softmax over their own problem.

    Source: McFadden 1974, with an L2 penalty on the weights of standardised features.

    Args:
        features: of each problem, (K, F).
        true: row of the true candidate of each problem.
        penalty: times the sum of squared weights.
        seed: which of the other candidates are compared with.
        negatives: how many of them.
        start: weights (F,) to start from.

    Returns:
        Weights (F,), float32; higher utility is likelier.
    """
    generator = torch.Generator().manual_seed(seed % 2**64)
    sets = []
    for matrix, at in zip(features, true, strict=True):
        order = torch.randperm(len(matrix), generator=generator)
        others = order[order != at][:negatives]
        sets.append(torch.cat([matrix[at : at + 1], matrix[others]]).double())
    spread = torch.cat(sets).std(0, correction=0).clamp_min(1e-6)
    sets = [matrix / spread for matrix in sets]
    weights = torch.zeros_like(spread) if start is None else start.double() * spread
    weights.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=200, tolerance_grad=1e-8, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = [(utility.logsumexp(0) - utility[0]) for utility in (m @ weights for m in sets)]
        loss = torch.stack(losses).mean() + penalty * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return (weights.detach() / spread).float()


def cross_validate(
    features: Sequence[Tensor],
    true: Sequence[int],
    models: Sequence[Hashable],
    *,
    seed: int = 0,
) -> tuple[float, list[Tensor]]:
    """Choose the penalty by the likelihood of models that the weights were not fitted on.

    Args:
        features: of each problem, (K, F).
        true: row of the true candidate of each problem.
        models: which model each problem is of: problems of one model stay together.
        seed: which of the other candidates are compared with.

    Returns:
        The penalty, and for each problem the weights (F,) of a fit without its model.

    Raises:
        AttackError: fewer than two models.
    """
    different = list(dict.fromkeys(models))
    if len(different) < 2:
        raise AttackError("cross-validation needs problems of at least two models")
    folds = min(FOLDS, len(different))
    fold = [different.index(model) % folds for model in models]
    weights: list[Tensor | None] = [None] * folds
    best: tuple[float, float, list[Tensor]] | None = None
    for penalty in PENALTIES:
        for number in range(folds):
            inside = [i for i, other in enumerate(fold) if other != number]
            weights[number] = conditional_logit(
                [features[i] for i in inside],
                [true[i] for i in inside],
                penalty=penalty,
                seed=seed,
                negatives=CHOOSING,
                start=weights[number],
            )
        outside: list[Tensor] = [weights[number] for number in fold]  # type: ignore[misc]
        utilities = [matrix @ each for matrix, each in zip(features, outside, strict=True)]
        likelihood = sum(
            float(utility[at] - utility.logsumexp(0))
            for utility, at in zip(utilities, true, strict=True)
        )
        if best is None or likelihood > best[0]:
            best = likelihood, penalty, outside
    assert best is not None
    return best[1], best[2]
