"""Logits as a user computes them, one by one: what each way of calling is compared with."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.problem import Completion


def compared(problems: Sequence[Completion]) -> tuple[Tensor, Tensor]:
    """Choose problems (M,) and choices (M, n) to compare: a few of one, two of each of many."""
    rows = [
        (p, choices)
        for p, problem in enumerate(problems)
        if problem.placed
        for choices in problem.examples()[: 4 if len(problems) == 1 else 2]
    ]
    most = max(len(problem.options) for problem in problems)
    filled = [(*choices, *(0 for _ in range(most - len(choices)))) for _, choices in rows]
    return torch.tensor([p for p, _ in rows]), torch.tensor(filled)


def placed_logits(
    model: PreTrainedModel, problems: Sequence[Completion]
) -> list[tuple[Tensor, Tensor]]:
    """User logits of a few of `compared` of each length: row numbers and logits."""
    problem, choices = compared(problems)
    by_length: dict[int, list[int]] = {}
    for row, p in enumerate(problem.tolist()):
        same = by_length.setdefault(len(problems[p].input_ids), [])
        if len(same) < (4 if len(problems) == 1 else 2):
            same.append(row)
    found = []
    for rows in by_length.values():
        logits = []
        for row in rows:
            its = problems[int(problem[row])]
            chosen = choices[row, : len(its.options)].tolist()
            inputs = {"input_ids": its.fill(chosen), **its.inputs}
            inputs = {name: values[None].to(model.device) for name, values in inputs.items()}
            logits.append(_user_logits(model, inputs, its.text(its.secret(chosen))))
        found.append((torch.tensor(rows, device=model.device), torch.cat(logits)))
    return found


def whole_logits(
    model: PreTrainedModel, problems: Sequence[Completion]
) -> list[tuple[dict[str, Tensor], Tensor]]:
    """Inputs and logits of a few sentences of each problem, those of one length together."""
    found = []
    for problem in problems:
        choices = torch.tensor(problem.examples()[: 4 if len(problems) == 1 else 2])
        tokens = problem.texts.tokens(choices)
        for length in tokens.lengths.unique().tolist():
            rows = (tokens.lengths == length).nonzero().squeeze(1)
            logits = [
                _user_logits(
                    model,
                    tokens.rows(row, length, model.device),
                    problem.text(problem.secret(choices[int(row)].tolist())),
                )
                for row in rows.split(1)
            ]
            found.append((tokens.rows(rows, length, model.device), torch.cat(logits)))
    return found


def _user_logits(model: PreTrainedModel, inputs: dict[str, Tensor], text: str) -> Tensor:
    """Compute logits (1, C), float32, of one sentence as a user would.

    Raises:
        AttackError: the model fails, or gives something else.
    """
    try:
        logits: Tensor = model(**inputs).logits.float()
    except Exception as error:  # models of all kinds fail in all ways
        raise AttackError(
            f"{type(model).__name__} cannot classify {text!r}: "
            f"{first_line(error)}; attack a model that takes plain sentences"
        ) from error
    if logits.dim() != 2:
        raise AttackError(f"{type(model).__name__} gives logits of shape "
                          f"{tuple(logits.shape)}, not one row a sentence")  # fmt: skip
    return logits


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
