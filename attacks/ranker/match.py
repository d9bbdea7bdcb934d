"""How well one step's change of the weights matches the gradient of a candidate.

A client that trained on the secret moved the rows of its words against the gradient of the loss of
its sentence. Between the global model and the update of a client there are few steps, so that the
gradient under the global model is nearly the one that was followed.
"""

from itertools import chain

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.problem import Completion
from attacks.ranker.margins import margin_oracle
from attacks.ranker.movement import Movement

MATCH = "match"  # the feature


def match_feature(
    model: PreTrainedModel, initial: PreTrainedModel, problem: Completion, choices: Tensor
) -> Tensor:
    """Return -<D, G(c)> / |G(c)| for each candidate c, (K,); higher is likelier.

    D is the change of the rows of the options, and G(c) the gradient of the loss of c on these rows
    under the initial weights; a row that stands in several slots has the sum of their gradients.
    The gradient of the margin stands for that of the loss, which is a negative multiple of it.

    Args:
        model: after the step.
        initial: before it.
        problem: whose candidates they are; its slots have tokens of their own.
        choices: (K, n) option of each slot.
    """
    with margin_oracle(model, problem) as oracle:
        movement = Movement(oracle, initial)
        gradient = movement.gradients(0.0, choices).gradient  # (K, n, V)
        moved = torch.stack([rows[choices[:, i]] for i, rows in enumerate(movement.rows)], 1)
    along = (gradient * moved).sum((1, 2))
    same = same_row(problem, choices).to(gradient)  # (K, n, n)
    square = torch.einsum("kiv,kij,kjv->k", gradient, same, gradient)
    return along / (square.clamp_min(0).sqrt() + 1e-12)


def same_row(problem: Completion, choices: Tensor) -> Tensor:
    """Tell which slots of candidates (K, n) hold the same word, (K, n, n) bool."""
    numbers: dict[str, int] = {}
    for option in chain.from_iterable(problem.options):
        numbers.setdefault(option, len(numbers))
    words = torch.stack(
        [
            torch.tensor([numbers[option] for option in options])[choices[:, slot]]
            for slot, options in enumerate(problem.options)
        ],
        1,
    )  # (K, n)
    return words[:, :, None] == words[:, None, :]
