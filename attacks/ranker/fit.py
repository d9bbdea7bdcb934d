"""A conditional logit: weights under which the true candidate beats the others of its problem."""

from collections.abc import Sequence

import torch
from torch import Tensor

from attacks.errors import AttackError

NEGATIVES = 3_000  # candidates drawn of each problem to compare with
PENALTY = 0.03


def conditional_logit(
    features: Sequence[Tensor],
    true: Sequence[int],
    *,
    penalty: float = PENALTY,
    seed: int = 0,
) -> Tensor:
    """Maximise the mean log-probability of the true candidates, softmax over their own problem.

    Source: McFadden 1974, with an L2 penalty on the weights of standardised features.

    Args:
        features: of each problem, (K, F).
        true: row of the true candidate of each problem.
        penalty: times the sum of squared weights.
        seed: which of the other candidates are compared with.

    Returns:
        Weights (F,), float32; higher utility is likelier.

    Raises:
        AttackError: no problems.
    """
    if not features:
        raise AttackError("a ranker needs at least one shadow model with a known secret")
    generator = torch.Generator().manual_seed(seed)
    sets = []
    for matrix, at in zip(features, true, strict=True):
        order = torch.randperm(len(matrix), generator=generator)
        others = order[order != at][:NEGATIVES]
        sets.append(torch.cat([matrix[at : at + 1], matrix[others]]).double())
    spread = torch.cat(sets).std(0, correction=0).clamp_min(1e-6)
    sets = [matrix / spread for matrix in sets]
    weights = torch.zeros(sets[0].shape[1], dtype=torch.double, requires_grad=True)
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
