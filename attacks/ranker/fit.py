"""A conditional logit: weights under which the true candidate beats the others of its problem."""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from attacks.errors import AttackError

NEGATIVES = 3_000  # candidates drawn of each problem to compare with
PENALTY = 0.03  # where too few models are there to choose one
# Tried by cross-validation, the strongest first.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01)
FOLDS = 5
CHOOSING = 1_000  # negatives of each problem in cross-validation


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

    Raises:
        AttackError: no problems.
    """
    if not features:
        raise AttackError("a ranker needs at least one shadow model with a known secret")
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
            inside = [i for i, its in enumerate(fold) if its != number]
            weights[number] = conditional_logit(
                [features[i] for i in inside],
                [true[i] for i in inside],
                penalty=penalty,
                seed=seed,
                negatives=CHOOSING,
                start=weights[number],
            )
        outside: list[Tensor] = [weights[its] for its in fold]  # type: ignore[misc]
        utilities = [matrix @ its for matrix, its in zip(features, outside, strict=True)]
        likelihood = sum(
            float(utility[at] - utility.logsumexp(0))
            for utility, at in zip(utilities, true, strict=True)
        )
        if best is None or likelihood > best[0]:
            best = likelihood, penalty, outside
    assert best is not None
    return best[1], best[2]
