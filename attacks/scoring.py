"""Exact scores of whole spaces and of given secrets: what ranks and exposure are made of."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from attacks.objectives import Objective, get_objective
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.search.exhaustive import check_enumerable, enumerate_scores


def score_space(
    model: PreTrainedModel, problem: Completion, objective: str | Objective = "loss"
) -> np.ndarray:
    """Score every secret of a problem.

    Returns:
        float32 scores (size,), lower is better, in mixed-radix order with the last slot fastest:
        the order of `Pattern.index`.

    Raises:
        AttackError: more than 10^7 secrets, or some whose tokens are not those of their slots.
    """
    check_enumerable(problem.size)
    with Oracle(model, [problem], get_objective(objective)) as oracle:
        return torch.cat([scores for _, scores in enumerate_scores(oracle, 0)]).numpy()


def score_choices(
    model: PreTrainedModel,
    problem: Completion,
    objective: str | Objective,
    secrets: Sequence[Sequence[str]],
) -> np.ndarray:
    """Score given secrets of a problem.

    Returns:
        float32 scores (len(secrets),), lower is better.

    Raises:
        AttackError: a secret has another number of words, a word that its slot cannot hold, or
            other tokens than its slots have.
    """
    choices = torch.tensor([problem.choices(s) for s in secrets], dtype=torch.long)
    choices = choices.view(-1, len(problem.options))
    problem.check(choices)
    with Oracle(model, [problem], get_objective(objective)) as oracle:
        return oracle.evaluate(torch.zeros(len(choices), dtype=torch.long), choices).numpy()
