"""Exact scores of whole spaces and of given secrets: what ranks and exposure are made of."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.labels import resolve_label
from attacks.objectives import Objective, get_objective
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.search.exhaustive import check_enumerable, enumerate_scores
from attacks.texts import Limits, Texts, taken_inputs


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


def score_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    label: str | int,
    objective: str | Objective = "loss",
) -> np.ndarray:
    """Score any sentences, tokenised whole; those of one length go through the model together.

    Returns:
        float32 scores (len(texts),), lower is better.

    Raises:
        AttackError: an unknown label, or a sentence longer than the model takes.
    """
    limits = Limits.of(tokenizer, model)
    options = (tuple(texts),)
    whole = Texts(options, tokenizer, taken_inputs(model), limits)
    first = whole.tokens(torch.zeros(1, 1, dtype=torch.long))
    problem = Completion(
        name="texts",
        parts=options,
        input_ids=first.inputs["input_ids"][0].long(),
        positions=(),
        candidates=(),
        options=options,
        label=resolve_label(model, label),
        texts=whole,
    )
    return score_space(model, problem, objective)
