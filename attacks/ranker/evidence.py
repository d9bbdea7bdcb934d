"""Evidence of every candidate from the trained weights alone: margins, gradients, rows.

Every feature sums over the slots with one weight for all of them, so that a ranker holds for
secrets of any length, and sums of different slots are comparable. `standardise` puts them on the
scale of their own problem, since models differ in how sure they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.oracle import GRADIENT_COST, Oracle
from attacks.ranker.margins import Margins

Features = dict[str, Tensor]  # each (K,)

BEST = 50  # candidates of the highest margin, whose mean gradient stands for the secret's
_TINY = 1e-9


class Slots:
    """Where the slots of an oracle's only problem stand in the sentence.

    Args:
        where: (n * W,) columns of the slots' tokens, W to a slot.
        real: (n * W,) 0 for the columns that fill up slots of fewer tokens, 1 for the others.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle, self.layout = oracle, oracle.layout
        self.length = int(self.layout.lengths[0])  # T
        self.slots, self.width = self.layout.positions.shape[1:]  # n, W
        columns = self.layout.positions[0].flatten()
        self.where = columns.clamp_max(self.length - 1)
        self.real = (columns < self.length).to(oracle.vectors)

    def fill(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Return problem numbers (B,), all zero, and tokens (B, T) of choices (B, n)."""
        problem = torch.zeros(len(choices), dtype=torch.long, device=self.oracle.device)
        return problem, self.layout.fill(problem, choices.to(problem.device))[:, : self.length]

    def take(self, gradient: Tensor) -> Tensor:
        """Select gradients at the slots (B, n, W * D) from those at all tokens (B, T, D)."""
        at_slots = gradient[:, self.where] * self.real[:, None]  # (B, n * W, D)
        return at_slots.view(len(gradient), self.slots, -1)


@dataclass(frozen=True, eq=False)
class SlotGradients:
    """Margins and their gradients at candidates of one problem.

    Args:
        margin: (K,).
        gradient: (K, n, V) with respect to the slot's vectors, V = tokens of a slot times D; slots
            of fewer tokens end in zeros.
    """

    margin: Tensor
    gradient: Tensor


def slot_gradients(oracle: Oracle, choices: Tensor, labels: Tensor | None = None) -> SlotGradients:
    """Differentiate the margin at exactly these candidates.

    Args:
        oracle: of one problem, inside its context, with the objective `margin`.
        choices: (K, n) option of each slot.
        labels: (K,) whose margin; None takes the problem's.
    """
    slots = Slots(oracle)
    labels = own_labels(oracle, choices, labels)
    margins, gradients = [], []
    rows = torch.arange(len(choices))
    for part in rows.split(oracle.rows_per_chunk(slots.length, gradient=True)):
        problem, tokens = slots.fill(choices[part])
        vectors = oracle.vectors[tokens].requires_grad_()  # (B, T, D)
        with torch.enable_grad():
            logits = oracle.call.mixed(vectors, problem)
            margin = -oracle.objective.score(logits, labels[part.to(labels.device)])
            (gradient,) = torch.autograd.grad(margin.sum(), vectors)
        margins.append(margin.detach())
        gradients.append(slots.take(gradient))
    oracle.charge(0, GRADIENT_COST * len(choices))
    return SlotGradients(torch.cat(margins).float().cpu(), torch.cat(gradients).float().cpu())


def own_labels(oracle: Oracle, choices: Tensor, labels: Tensor | None) -> Tensor:
    """Return the labels (K,) of choices (K, n): those given, else the one of the problem."""
    if labels is None:
        return oracle.layout.labels.expand(len(choices))
    return labels.to(oracle.device)


def slot_vectors(oracle: Oracle) -> list[Tensor]:
    """Return input vectors of every option, for each slot (K_slot, V); see `SlotGradients`."""
    width = oracle.layout.positions.shape[2]
    dim = oracle.vectors.shape[1]
    found = []
    for slot in range(oracle.layout.positions.shape[1]):
        tokens = oracle.layout.tables[int(oracle.layout.table[0, slot])]  # (K, w)
        vectors = oracle.vectors.new_zeros(len(tokens), width, dim)
        vectors[:, : tokens.shape[1]] = oracle.vectors[tokens]
        found.append(vectors.flatten(1).float().cpu())
    return found


def standardise(features: Features, pooled: int | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Stack features (K, F), each with mean 0 and deviation 1; constants become 0.

    Args:
        features: (K,) each.
        pooled: mean and deviation are those of so many first rows; None takes all.
    """
    matrix = torch.stack(list(features.values()), dim=1).double()
    matrix = matrix - matrix[:pooled].mean(0)
    deviation = matrix[:pooled].std(0, correction=0)
    matrix = torch.where(deviation > _TINY, matrix / deviation.clamp_min(_TINY), 0.0)
    return matrix.float(), tuple(features)


def margin_features(margins: Margins, choices: Tensor) -> Features:
    """Compute the margin, and the margin against that of candidates close by.

    `contrast` is the margin minus its mean over one-slot changes, `advantage` minus the best change
    of each slot; `swap` minus its mean over exchanges of two slots, `swap_worst` minus the best.
    """
    margin = margins(choices)  # (K,)
    effects = margins.effects()
    additive = sum(effect[choices[:, slot]] for slot, effect in enumerate(effects))
    around = margins.neighbours(choices)  # (K, n, J)
    filled = around.nan_to_num(nan=-torch.inf)
    advantage = margin[:, None] - filled.amax(2)  # (K, n); -inf options never win
    advantage = torch.where(advantage.isfinite(), advantage, 0.0)
    found = {
        "margin": margin,
        "log_rank": _log_rank(margin),
        "additive": torch.as_tensor(additive),
        "contrast": margin - around.flatten(1).nanmean(1).nan_to_num(0.0),
        "advantage": advantage.sum(1),
        "advantage_worst": advantage.amin(1),
    }
    swapped = margins.swaps(choices)  # (K, S)
    if swapped.shape[1]:
        better = (swapped > margin[:, None]).sum(1)
        found |= {
            "swap": margin - swapped.mean(1),
            "swap_worst": margin - swapped.amax(1),
            "swap_rank": torch.log1p(better.float()),
        }
    else:
        found |= dict.fromkeys(("swap", "swap_worst", "swap_rank"), torch.zeros_like(margin))
    return found


def gradient_features(
    gradients: SlotGradients,
    vectors: Sequence[Tensor],
    choices: Tensor,
    groups: Tensor,
    *,
    tag: str = "",
) -> Features:
    """Measure how the vectors of the candidate's words lie in the gradients of the margin.

    Training moves the row of a word along the gradient at the place where the word stood, so the
    secret's rows lie in the direction of the gradients of its own slots.

    Args:
        gradients: at the candidates.
        vectors: of each slot's options (K_slot, V): rows of the embedding table, or how far each
            row has moved where the initial weights are known.
        choices: (K, n).
        groups: (n, n) which slots hold the same options.
        tag: prefix of the names.
    """
    gradient = gradients.gradient  # (K, n, V)
    centred = [rows - rows.mean(0) for rows in vectors]
    rows = torch.stack([row[choices[:, slot]] for slot, row in enumerate(centred)], 1)  # (K, n, V)
    size = gradient.norm(dim=2)  # (K, n)
    dot = (gradient * rows).sum(2)
    cosine = dot / (size * rows.norm(dim=2) + _TINY)
    # Adam's steps are nearer to the gradient's sign than to the gradient.
    sign = (gradient.sign() * rows).sum(2)
    found = {
        "dot": dot.sum(1),
        "cosine": cosine.sum(1),
        "cosine_worst": cosine.amin(1),
        "sign": sign.sum(1),
    }
    best = gradients.margin.topk(min(BEST, len(choices))).indices
    for name, mean in (
        ("best", gradient[best].mean(0)),
        ("best_sign", gradient[best].sign().mean(0)),
        ("all", gradient.mean(0)),
    ):
        own, other = _assign(mean, centred, choices, groups)
        found |= {
            f"{name}_own": own,
            f"{name}_other": other,
            f"{name}_contrast": own - other,
        }
    return {tag + name: value for name, value in found.items()}


def sharpness_features(gradients: SlotGradients, *, tag: str = "") -> Features:
    """Measure how steep the margin is at a candidate: training flattens it at the secret."""
    size = gradients.gradient.norm(dim=2)  # (K, n)
    log = torch.log(size + _TINY)
    unit = gradients.gradient / (size[:, :, None] + _TINY)
    steep = log.sum(1)
    margin = gradients.margin
    found = {
        "steepness": steep,
        "steepness_worst": log.amin(1),
        "sure_and_steep": _z(margin) * _z(steep),
        "agreement": (unit.sum(1) ** 2).sum(1),  # of the gradients of all slots with each other
    }
    return {tag + name: value for name, value in found.items()}


def option_features(
    evidence: Sequence[Tensor], choices: Tensor, groups: Tensor, *, tag: str
) -> Features:
    """Sum evidence that an option stands in the secret, wherever: (K_slot,) for each slot."""
    value = torch.stack([each[choices[:, slot]] for slot, each in enumerate(evidence)], 1)  # (K, n)
    count = occurrences(choices, groups)
    return {
        f"{tag}_present": (value / count).sum(1),  # every distinct option once
        f"{tag}_repeated": (value * (count > 1)).sum(1),
    }


def shape_features(choices: Tensor, groups: Tensor) -> Features:
    """Count equal words side by side: the loss favours them; random secrets rarely have them."""
    same = (choices[:, 1:] == choices[:, :-1]) & groups.diagonal(1)
    return {"adjacent": same.float().sum(1)}


def row_evidence(vectors: Sequence[Tensor], vocabulary: Tensor, tokens: int) -> list[Tensor]:
    """Standardise norms of the options' rows by the vocabulary's: trained rows are longer.

    Args:
        vectors: (K_slot, V) for each slot.
        vocabulary: norms (vocabulary,) of all rows.
        tokens: number of tokens of an option.
    """
    mean, deviation = vocabulary.mean(), vocabulary.std() + _TINY
    return [(each.norm(dim=1) / tokens**0.5 - mean) / deviation for each in vectors]


def occurrences(choices: Tensor, groups: Tensor) -> Tensor:
    """Count each slot's option in the candidate, among slots of like options: (K, n)."""
    equal = (choices[:, :, None] == choices[:, None, :]) & groups  # (K, n, n)
    return equal.sum(2)


def _assign(
    mean: Tensor, centred: Sequence[Tensor], choices: Tensor, groups: Tensor
) -> tuple[Tensor, Tensor]:
    """Match mean gradients (n, V) with the candidate's rows, at their own slots and others.

    Returns:
        Sums over the slots (K,), both in deviations of all products.
    """
    own, other, every = [], [], []
    for slot, rows in enumerate(centred):
        alike = groups[slot].nonzero().squeeze(1)
        products = mean[alike] @ rows.T  # (slots alike, K_slot)
        mine = products[alike == slot].squeeze(0)
        rest = (products.sum(0) - mine) / max(1, len(alike) - 1)
        every.append(mine)
        own.append(mine[choices[:, slot]])
        other.append(rest[choices[:, slot]])
    scale = torch.cat(every).std() + _TINY
    return torch.stack(own).sum(0) / scale, torch.stack(other).sum(0) / scale


def _log_rank(values: Tensor) -> Tensor:
    """Return -log(1 + how many are higher): higher is likelier."""
    order = values.argsort(descending=True)
    rank = torch.empty_like(values)
    rank[order] = torch.arange(len(values), dtype=values.dtype)
    return -torch.log1p(rank)


def _z(values: Tensor) -> Tensor:
    return (values - values.mean()) / (values.std() + _TINY)
