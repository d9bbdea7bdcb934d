"""Evidence over several steps of a training: scores of the same candidates are added up."""

from collections.abc import Sequence

import torch
from torch import Tensor

from attacks.attack import Reconstruction, Scored
from attacks.errors import AttackError
from attacks.pool import TOP
from attacks.problem import Completion
from attacks.search.exhaustive import unravel


def add_evidence(problem: Completion, found: Sequence[Reconstruction]) -> Reconstruction:
    """Add up what an attack found in several pairs of weights of one training.

    Scores are standardised first, since steps differ in their length: each has mean 0 and deviation
    1 over its candidates. A candidate that a step did not compare has the worst score of that step.

    Args:
        problem: what was asked.
        found: of one attack, one or more.

    Raises:
        AttackError: none, or an attack that ranks nothing.
    """
    if not found:
        raise AttackError(f"problem {problem.name}: nothing was seen of the training")
    if len(found) == 1:
        return found[0]
    scored = [one.scored for one in found if one.scored is not None]
    if len(scored) < len(found):
        raise AttackError(
            f"attack {found[0].attack} compares no scores that could be added up over rounds: "
            "take exhaustive, or an attack that ranks, such as match"
        )
    numbers = torch.cat([one.numbers for one in scored]).unique()
    total = torch.zeros(len(numbers), dtype=torch.double)
    for one in scored:
        total += _placed(one, numbers)
    order = total.argsort(stable=True)
    best = order[:TOP]
    return Reconstruction.of(
        problem,
        found[0].attack,
        found[0].objective,
        unravel(numbers[best], problem.sizes).tolist(),
        total[best].tolist(),
        sum(one.evaluations for one in found),
        sum(one.seconds for one in found),
        Scored(numbers[order], total[order]),
    )


def _placed(scored: Scored, numbers: Tensor) -> Tensor:
    """Return standardised scores at the places of sorted numbers (N,)."""
    scores = scored.scores.double().cpu()
    finite = scores[scores.isfinite()]
    if not len(finite):
        return torch.zeros(len(numbers), dtype=torch.double)
    scores = scores.nan_to_num(nan=float(finite.max()), posinf=float(finite.max()))
    scores = (scores - scores.mean()) / scores.std(correction=0).clamp_min(1e-12)
    placed = torch.full((len(numbers),), float(scores.max()), dtype=torch.double)
    placed[torch.searchsorted(numbers, scored.numbers.cpu())] = scores
    return placed
