"""Replay: what would training on this candidate have done to the rows of its words?

With the initial weights known, the other weights are put on the straight line from first to last,
and the rows of the candidate's words are trained again from their initial values on the canary
alone, by Adam, for every candidate side by side. The candidate whose simulated rows end nearest to
the real ones is the likeliest. No data are needed, and no recipe: only directions are compared.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from attacks.objectives import OBJECTIVES
from attacks.oracle import GRADIENT_COST, Oracle
from attacks.ranker.features import Features
from attacks.ranker.initial import decay, margin_oracle, moved_rows

STEPS = 16
# Weights change fastest at first: after a share t of training they stand at t ** power.
POWERS = (0.1, 0.25, 0.5)
_BETAS = (0.9, 0.999)


@dataclass(frozen=True, eq=False)
class _Path:
    """The straight line between two sets of weights, and vectors of the problem on it."""

    oracle: Oracle
    before: Oracle

    def weights(self, share: float) -> dict[str, Tensor]:
        first = dict(self.before.model.named_parameters())
        return {
            name: first[name].detach().lerp(last.detach(), share)
            for name, last in self.oracle.model.named_parameters()
        }

    def vectors(self, share: float) -> Tensor:
        return self.before.vectors.lerp(self.oracle.vectors, share)


def replay_features(oracle: Oracle, initial: PreTrainedModel, choices: Tensor) -> Features:
    """How well the replay of each candidate explains the real change of the rows.

    Args:
        oracle: of one problem under the trained weights, inside its context.
        initial: the weights that training began with.
        choices: (K, n), a few hundred at most.
    """
    found: Features = {}
    with margin_oracle(initial, oracle.problems[0], oracle.memory) as before:
        path = _Path(oracle, before)
        moved = moved_rows(oracle, before, decay(oracle.model, initial))
        real = torch.stack([its[choices[:, slot]] for slot, its in enumerate(moved)], 1)
        size = float(torch.cat([its.norm(dim=1) for its in moved]).max())
        for power in POWERS:
            parts = choices.split(max(1, oracle.rows_per_chunk(
                int(oracle.layout.lengths[0]), gradient=True)))  # fmt: skip
            replayed = torch.cat([_replay(path, part, size, power) for part in parts])
            cosine = F.cosine_similarity(replayed, real, dim=2)  # (K, n)
            whole = F.cosine_similarity(replayed.flatten(1), real.flatten(1), dim=1)
            found |= {
                f"replay_{power}": cosine.mean(1),
                f"replay_worst_{power}": cosine.amin(1),
                f"replay_whole_{power}": whole,
            }
    oracle.charge(0, len(POWERS) * STEPS * GRADIENT_COST * len(choices))
    return found


def _replay(path: _Path, choices: Tensor, size: float, power: float) -> Tensor:
    """Simulated change (B, n, V) of the row in each slot of candidates (B, n).

    Slots that hold the same word share its row. The step length lets a row go about as far as the
    farthest real one.
    """
    oracle, layout = path.oracle, path.oracle.layout
    problem = torch.zeros(len(choices), dtype=torch.long, device=oracle.device)
    choices = choices.to(oracle.device)
    length = int(layout.lengths[0])
    tokens = layout.fill(problem, choices)[:, :length]  # (B, T)
    slots, width = layout.positions.shape[1:]
    flat = layout.positions[0].flatten().clamp_max(length - 1)  # (n * W,)
    real = (layout.positions[0].flatten() < length)[:, None].to(oracle.vectors)
    at_slots = tokens[:, flat]  # (B, n * W)
    share_row = (at_slots[:, :, None] == at_slots[:, None, :]).to(oracle.vectors)
    start = path.before.vectors[at_slots]  # (B, n * W, D)
    rows, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    rate = 2 * size / (STEPS * start.shape[2] ** 0.5 * width**0.5)
    labels = layout.labels[problem]
    loss = OBJECTIVES["loss"].on_head(oracle.model.config)
    for step in range(STEPS):
        share = ((step + 0.5) / STEPS) ** power
        vectors = path.vectors(share)[tokens]  # (B, T, D)
        leaf = rows.requires_grad_()
        filled = vectors.index_copy(1, flat[real[:, 0] > 0], leaf[:, real[:, 0] > 0])
        with torch.enable_grad():
            logits = oracle.call.mixed(filled, problem, path.weights(share))
            (gradient,) = torch.autograd.grad(loss.score(logits, labels).sum(), leaf)
        gradient = share_row @ (gradient * real)  # a word's row feels all of its places
        with torch.no_grad():
            mean = mean.lerp(gradient, 1 - _BETAS[0])
            square = square.lerp(gradient.square(), 1 - _BETAS[1])
            bias = [1 - beta ** (step + 1) for beta in _BETAS]
            change = (mean / bias[0]) / ((square / bias[1]).sqrt() + 1e-12)
            rows = rows.detach() - rate * change
    return ((rows - start) * real).view(len(choices), slots, -1).float().cpu()
