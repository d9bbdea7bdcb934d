"""Gradients of the margin with respect to the input vectors of a secret's slots."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.oracle import GRADIENT_COST, Oracle


@dataclass(frozen=True, eq=False)
class SlotGradients:
    """Margins and their gradients at candidates of one problem.

    Args:
        margin: (K,).
        gradient: (K, n, V) with respect to the slot's vectors, V = tokens a slot times D; slots of
            fewer tokens end in zeros.
    """

    margin: Tensor
    gradient: Tensor


def slot_gradients(oracle: Oracle, choices: Tensor) -> SlotGradients:
    """Differentiate the margin at exactly these candidates.

    Args:
        oracle: of one problem, inside its context, with the objective `margin`.
        choices: (K, n) option of each slot.
    """
    layout = oracle.layout
    problem = torch.zeros(len(choices), dtype=torch.long, device=oracle.device)
    choices = choices.to(oracle.device)
    length = int(layout.lengths[0])
    slots = layout.positions.shape[1]
    where = layout.positions[0].flatten().clamp_max(length - 1)  # (n * W,)
    real = (layout.positions[0].flatten() < length).to(oracle.vectors)  # scratch columns are none
    margins, gradients = [], []
    for rows in torch.arange(len(choices), device=oracle.device).split(
        oracle.rows_per_chunk(length, gradient=True)
    ):
        tokens = layout.fill(problem[rows], choices[rows])[:, :length]
        vectors = oracle.vectors[tokens].requires_grad_()  # (B, T, D)
        with torch.enable_grad():
            logits = oracle.call.mixed(vectors, problem[rows])
            margin = -oracle.objective.score(logits, layout.labels[problem[rows]])
            (gradient,) = torch.autograd.grad(margin.sum(), vectors)
        at_slots = gradient[:, where] * real[:, None]  # (B, n * W, D)
        margins.append(margin.detach())
        gradients.append(at_slots.view(len(rows), slots, -1))
    oracle.charge(0, GRADIENT_COST * len(choices))
    return SlotGradients(torch.cat(margins).float().cpu(), torch.cat(gradients).float().cpu())


def slot_vectors(oracle: Oracle) -> list[Tensor]:
    """Input vectors of every option: for each slot (K_slot, V), as `SlotGradients` counts V."""
    width = oracle.layout.positions.shape[2]
    dim = oracle.vectors.shape[1]
    found = []
    for slot in range(oracle.layout.positions.shape[1]):
        tokens = oracle.layout.tables[int(oracle.layout.table[0, slot])]  # (K, w)
        vectors = oracle.vectors.new_zeros(len(tokens), width, dim)
        vectors[:, : tokens.shape[1]] = oracle.vectors[tokens]
        found.append(vectors.flatten(1).float().cpu())
    return found
