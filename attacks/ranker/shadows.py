"""Learning to rank from shadow models: models of the attacker's own, whose secrets it knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.problem import Completion, problem_generators
from attacks.ranker.candidates import Described, Describer
from attacks.ranker.climb import neighbours, shortlist
from attacks.ranker.fit import FOLDS, PENALTY, conditional_logit, cross_validate
from attacks.ranker.initial import margin_oracle
from attacks.ranker.margins import draw
from attacks.ranker.ranker import USUAL, Ranker
from attacks.ranker.second import how_many, second_look
from attacks.ranker.usual import Effects, Usual, label_name, option_effects, problem_key

DRAWN = 100  # candidates that a climb has not met yet, seen in fitting where there is one


@dataclass(frozen=True, eq=False)
class Shadow:
    """A model that the attacker trained on data of its own, with a secret it planted itself.

    Args:
        model: trained as the targets are.
        problem: the sentence with slots, for this model.
        choices: option of each slot of the planted secret.
        initial: its weights before training, if the ranker is to use the target's.
    """

    model: PreTrainedModel
    problem: Completion
    choices: tuple[int, ...]
    initial: PreTrainedModel | None = None


def fit_ranker(
    shadows: Sequence[Shadow],
    *,
    facts: Mapping[str, Any] | None = None,
    penalty: float | None = None,
    pool: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Ranker:
    """Learn to rank from shadow models, all with initial weights or all without.

    Args:
        shadows: a few dozen; 20 give most of the gain.
        facts: kept in the ranker's file.
        penalty: of the conditional logit; None chooses by cross-validation over the models.
        pool: candidates a shadow; None chooses by the model.
        seed: of every random draw.
        progress: show a bar.

    Raises:
        AttackError: no shadows, or only some with initial weights.
    """
    known = {shadow.initial is not None for shadow in shadows}
    if len(known) > 1:
        raise AttackError("give the initial weights of all shadow models, or of none")
    described, true = [], []
    effects: list[tuple[str, Effects]] = []
    bar = tqdm(shadows, desc="shadow models", disable=None if progress else True, leave=False)
    for shadow in bar:
        secret = torch.tensor([shadow.choices])
        (generator,) = problem_generators([shadow.problem], seed)
        with margin_oracle(shadow.model, shadow.problem) as oracle:
            describer = Describer(oracle, generator, shadow.initial)
            candidates, include = describer.pool(pool), secret
            if len(candidates) < shadow.problem.size:  # what a climb has to tell from the secret
                near = neighbours(shadow.problem, [shadow.choices], shortlist(describer))
                include = torch.cat([secret, near, draw(shadow.problem.sizes, DRAWN, generator)])
            described.append(describer.look(candidates, include))
            effects.append((problem_key(shadow.problem), option_effects(oracle, generator)))
        true.append(int((described[-1].choices == secret).all(1).nonzero()[0, 0]))
    usual = Usual.of(effects)
    for number, (shadow, (_, own)) in enumerate(zip(shadows, effects, strict=True)):
        label = label_name(shadow.model, shadow.problem)
        its = described[number]
        values = usual.feature(shadow.problem, label, its.choices, without=own)
        described[number] = its.joined({USUAL: values})
    models = [id(shadow.model) for shadow in shadows]
    weights, outside, chosen = _learn(
        [d.features for d in described], true, models, penalty=penalty, seed=seed
    )
    second: dict[str, float] = {}
    if known == {True}:
        second = _second_weights(
            shadows, described, true, outside, penalty=penalty, seed=seed, progress=progress
        )
    return Ranker(
        dict(zip(described[0].names, weights.tolist(), strict=True)),
        second,
        {**(facts or {}), "penalty": chosen},
        known == {True},
        usual,
    )


def _second_weights(
    shadows: Sequence[Shadow],
    described: Sequence[Described],
    true: Sequence[int],
    outside: Sequence[Tensor],
    *,
    penalty: float | None,
    seed: int,
    progress: bool,
) -> dict[str, float]:
    """Weights of what a second look gives, each model's by a first utility it had no part in.

    A secret that is not among the best of its model teaches nothing of how to order them.
    """
    matrices, at, models = [], [], []
    names: tuple[str, ...] = ()
    bar = tqdm(list(zip(shadows, described, strict=True)), desc="second look", leave=False,
               disable=None if progress else True)  # fmt: skip
    for (shadow, its), row, first in zip(bar, true, outside, strict=True):
        looked_at = min(how_many(shadow.model), len(its.choices))
        best = (its.features @ first).topk(looked_at).indices
        if not (best == row).any():
            continue
        with margin_oracle(shadow.model, shadow.problem) as oracle:
            matrix, names = second_look(oracle, shadow.initial, its, best, first)
        matrices.append(matrix)
        at.append(int((best == row).nonzero()[0, 0]))
        models.append(id(shadow.model))
    if not matrices:
        return {}
    weights, _, _ = _learn(matrices, at, models, penalty=penalty, seed=seed)
    return dict(zip(names, weights.tolist(), strict=True))


def _learn(
    features: Sequence[Tensor],
    true: Sequence[int],
    models: Sequence[int],
    *,
    penalty: float | None,
    seed: int,
) -> tuple[Tensor, list[Tensor], float]:
    """Weights (F,); for each problem the weights of a fit without its model; the penalty.

    Too few models to leave some out share the weights of all.
    """
    outside = None
    if penalty is None:
        penalty = PENALTY
        if len(set(models)) >= FOLDS:
            penalty, outside = cross_validate(features, true, models, seed=seed)
    weights = conditional_logit(features, true, penalty=penalty, seed=seed)
    return weights, outside or [weights] * len(features), penalty
