"""What the initial weights add: how rows and layers moved, along which gradients, and by replay.

Rows of the embedding table tell which words were trained on. A layer above them sees a word and
its place at once, and training moves it along the gradients of the sentences that it saw: the
movement of a layer lies in the gradient of the secret. Replay asks what training on a candidate
would have done to the rows of its words. The last two are for the best candidates only: each has a
gradient as large as the model, or a training run.
"""

import copy
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.objectives import OBJECTIVES
from attacks.oracle import GRADIENT_COST, Oracle
from attacks.ranker.evidence import (
    Features,
    SlotGradients,
    Slots,
    gradient_features,
    option_features,
    sharpness_features,
    slot_gradients,
    slot_vectors,
)
from attacks.ranker.margins import margin_oracle
from attacks.vectors import check_precision, input_table, vocabulary_vectors

# Points of the straight line from the initial to the final weights at which the gradients of
# weights are taken: later ones and higher layers tell less.
SHARES = (0.0, 0.25, 0.5)
STEPS = 16  # of Adam in a replay
# Weights change fastest at first: after a share t of training they stand at t ** power.
POWERS = (0.1, 0.25, 0.5)
_BETAS = (0.9, 0.999)
_LAYER = re.compile(r"\.(\d+)\.")
_ROUNDING = 1e-5


def check_initial(model: PreTrainedModel, initial: PreTrainedModel) -> None:
    """Raise AttackError where `initial` cannot be what `model` was trained from, or is rounded."""
    check_precision(initial)
    shapes, first = (
        {name: tuple(value.shape) for name, value in one.state_dict().items()}
        for one in (model, initial)
    )
    differ = sorted(name for name in shapes | first if shapes.get(name) != first.get(name))
    if differ:
        raise AttackError(
            f"the initial weights are not of the target's architecture: {differ[0]} is "
            f"{shapes.get(differ[0], ())} in the target and {first.get(differ[0], ())} before "
            "training; give the checkpoint that it was fine-tuned from"
        )


def weights_between(
    initial: PreTrainedModel, final: PreTrainedModel, share: float
) -> dict[str, Tensor]:
    """Return weights by name, `share` of the way from `initial` to `final` on the straight line."""
    first = initial.state_dict()
    return {
        name: first[name].to(last).lerp(last, share)
        for name, last in final.state_dict().items()
        if last.is_floating_point()
    }


def interpolate(initial: PreTrainedModel, final: PreTrainedModel, share: float) -> PreTrainedModel:
    """Copy the model with weights `share` of the way from `initial` to `final`."""
    model = copy.deepcopy(final)
    model.load_state_dict(weights_between(initial, final, share), strict=False)
    return model


class Movement:
    """What training changed, from initial weights to those of an oracle.

    Args:
        oracle: of one problem under the trained weights, inside its context.
        initial: the weights that training began with.
        rows: how far the vectors of each slot's options moved beyond weight decay, (K_slot, V).
        vectors: the oracle's vectors under the initial weights (U + means, D).
    """

    def __init__(self, oracle: Oracle, initial: PreTrainedModel) -> None:
        self.oracle, self.initial = oracle, initial
        with margin_oracle(initial, oracle.problems[0], oracle.memory) as before:
            self.vectors = before.vectors
            kept = decay(oracle.model, initial)
            self.rows = [
                after - kept * first
                for after, first in zip(slot_vectors(oracle), slot_vectors(before), strict=True)
            ]

    @contextmanager
    def between(self, share: float) -> Iterator[Oracle]:
        """Open an oracle of the same problem, `share` of the way from the initial weights."""
        model = interpolate(self.initial, self.oracle.model, share)
        with margin_oracle(model, self.oracle.problems[0], self.oracle.memory) as oracle:
            yield oracle

    def gradients(self, share: float, choices: Tensor) -> SlotGradients:
        """Take gradients at candidates, `share` of the way from the initial weights."""
        with self.between(share) as oracle:
            found = slot_gradients(oracle, choices)
            self.oracle.charge(0, oracle.evaluations[0])
        return found

    def evidence(self) -> list[Tensor]:
        """Return the log distance that each option's row moved, against the mean of the slot.

        (K_slot,) for each slot. Words that no gradient met stay put, and are evidence against.
        """
        logs = [torch.log(rows.norm(dim=1) + 1e-6) for rows in self.rows]
        return [log - log.mean() for log in logs]


def decay(model: PreTrainedModel, initial: PreTrainedModel) -> float:
    """Estimate what weight decay left of a row without gradients: the median of the vocabulary."""
    before, after = (vocabulary_vectors(one) for one in (initial, model))  # (vocabulary, D)
    kept = (before * after).sum(1) / (before.square().sum(1) + 1e-9)
    return float(kept.median())


def movement_features(
    movement: Movement, choices: Tensor, groups: Tensor, final: SlotGradients
) -> Features:
    """Compute the features (K,) of candidates that need the initial weights.

    Gradients are taken where training began, half way on the straight line, and where it ended:
    a row was moved by the gradients of all of training, not by those of the end.

    Args:
        movement: from the initial weights.
        choices: (K, n).
        groups: (n, n) which slots hold the same options.
        final: gradients at the candidates under the trained weights.
    """
    first, half = movement.gradients(0.0, choices), movement.gradients(0.5, choices)
    found: Features = {"gain": final.margin - first.margin, "half_margin": half.margin}
    found |= option_features(movement.evidence(), choices, groups, tag="moved")
    for tag, gradients in (("final_", final), ("half_", half), ("first_", first)):
        found |= gradient_features(gradients, movement.rows, choices, groups, tag=f"moved_{tag}")
    return found | sharpness_features(half, tag="half_")


def weight_features(
    movement: Movement, choices: Tensor, shares: Sequence[float] = SHARES
) -> Features:
    """Measure how words and lower layers moved along the gradients of candidates.

    By cosine, up to the length of the movement, which all candidates share; by the gradient's
    signs, since Adam's steps are nearer to those; and by the signs of both. Each feature is the
    mean of these over the points of the line, in deviations of the candidates': weights for each
    would be fitted to the noise of a few dozen shadow models.

    Args:
        movement: from the initial weights.
        choices: (K, n), some dozens.
        shares: the points of the line, as shares of the way from the initial weights.
    """
    oracle = movement.oracle
    lower = lower_layers(oracle.model)
    last, first = dict(oracle.model.named_parameters()), dict(movement.initial.named_parameters())
    way = torch.cat([(last[name] - first[name]).detach().flatten() for name in lower])
    words, layers = [], []
    for share in shares:
        with movement.between(share) as middle:
            for rows, at_slots, at_layers in weight_gradients(middle, choices, lower):
                words.append(_alignments(*_by_word(at_slots, movement.rows, rows)))
                layers.append(_alignments(at_layers, way[None]))
    oracle.charge(0, len(shares) * GRADIENT_COST * len(choices))
    return {
        f"weights_{name}": _mean(torch.cat(found).view(len(shares), len(choices), -1).cpu())
        for name, found in (("words", words), ("layers", layers))
    }


def _alignments(gradients: Tensor, way: Tensor) -> Tensor:
    """Align gradients (B, W) with the movement (B or 1, W) of weights: (B, 3)."""
    # Gradients that are zero by theory, as of attention's key bias, have signs of rounding.
    seen = gradients.abs() > _ROUNDING * gradients.abs().amax(1, keepdim=True)
    signs = gradients.sign() * seen
    return torch.stack(
        [
            (gradients * way).sum(1) / (gradients.norm(dim=1) + 1e-12),
            (signs * way).sum(1),
            (signs * way.sign()).sum(1),
        ],
        1,
    )


def _mean(values: Tensor) -> Tensor:
    """Average standardised kinds (S, K, kinds) over points and kinds: (K,)."""
    centred = values - values.mean(1, keepdim=True)
    return (centred / (centred.std(1, keepdim=True) + 1e-12)).mean((0, 2))


def lower_layers(model: PreTrainedModel) -> list[str]:
    """Name the weights of the lower half of the encoder's layers.

    An encoder without numbered layers gives all weights that are not embeddings.
    """
    table = input_table(model)
    embeddings = {id(weight) for weight in table.parameters()} if table else set()
    inside = {id(weight) for weight in model.base_model.parameters()} - embeddings
    names = [
        name
        for name, weight in model.named_parameters()
        if id(weight) in inside and "embedding" not in name
    ]
    numbers = {name: int(found[1]) for name in names if (found := _LAYER.search(name))}
    middle = (max(numbers.values(), default=0) + 1) / 2
    return [name for name in numbers if numbers[name] < middle] or names


def weight_gradients(
    oracle: Oracle, choices: Tensor, names: list[str]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield candidates (B, n), margin gradients at slots (B, n, V) and of weights (B, W)."""
    slots = Slots(oracle)
    every = {name: weight.detach() for name, weight in oracle.model.named_parameters()}
    asked = {name: every[name] for name in names}
    first = torch.zeros(1, dtype=torch.long, device=oracle.device)

    def score(weights: dict[str, Tensor], vectors: Tensor) -> Tensor:
        logits = oracle.call.mixed(vectors[None], first, every | weights)
        return -oracle.objective.score(logits, slots.layout.labels[:1]).sum()

    gradients = vmap(grad(score, argnums=(0, 1)), in_dims=(None, 0))
    floats = 3 * sum(weight.numel() for weight in asked.values())
    rows = min(oracle.rows_per_chunk(slots.length, gradient=True), oracle.memory // (4 * floats))
    for part in choices.split(max(1, rows)):
        _, tokens = slots.fill(part)
        with sdpa_kernel(SDPBackend.MATH):  # the others do not go with vmap
            of_weights, at = gradients(asked, oracle.vectors[tokens].detach())
        flat = torch.cat([of_weights[name].flatten(1) for name in names], 1)
        yield part, slots.take(at).float(), flat.float()


def _by_word(slots: Tensor, moved: list[Tensor], choices: Tensor) -> tuple[Tensor, Tensor]:
    """Return gradients (B, n * V) of the rows of candidates (B, n), and their movement.

    A word in several slots has one row, which feels all of its places; it stands in the first.
    """
    ways = torch.stack([rows[choices[:, slot]] for slot, rows in enumerate(moved)], 1).to(slots)
    same = (ways[:, :, None] == ways[:, None, :]).all(3)  # (B, n, n)
    first = ~same.tril(-1).any(2, keepdim=True)  # (B, n, 1)
    return ((same.to(slots) @ slots) * first).flatten(1), (ways * first).flatten(1)


def replay_features(movement: Movement, choices: Tensor) -> Features:
    """Measure how well the replay of each candidate explains the real change of the rows.

    The other weights are put on the straight line from first to last, and the rows of the
    candidate's words are trained again from their initial values on the canary alone, by Adam, for
    every candidate side by side. The simulated rows of the likeliest candidate end nearest to the
    real ones. No data are needed, and no recipe: only directions are compared.

    Args:
        movement: from the initial weights.
        choices: (K, n), a few hundred at most.
    """
    oracle = movement.oracle
    real = torch.stack([rows[choices[:, slot]] for slot, rows in enumerate(movement.rows)], 1)
    size = float(torch.cat([rows.norm(dim=1) for rows in movement.rows]).max())
    chunk = oracle.rows_per_chunk(int(oracle.layout.lengths[0]), gradient=True)
    found: Features = {}
    for power in POWERS:
        parts = [_replay(movement, part, size, power) for part in choices.split(chunk)]
        replayed = torch.cat(parts)  # (K, n, V)
        cosine = F.cosine_similarity(replayed, real, dim=2)  # (K, n)
        found |= {
            f"replay_{power}": cosine.mean(1),
            f"replay_worst_{power}": cosine.amin(1),
            f"replay_whole_{power}": F.cosine_similarity(replayed.flatten(1), real.flatten(1)),
        }
    oracle.charge(0, len(POWERS) * STEPS * GRADIENT_COST * len(choices))
    return found


def _replay(movement: Movement, choices: Tensor, size: float, power: float) -> Tensor:
    """Simulated change (B, n, V) of the row in each slot of candidates (B, n).

    Slots that hold the same word share its row. The step length lets a row go about as far as the
    farthest real one.
    """
    oracle, slots = movement.oracle, Slots(movement.oracle)
    problem, tokens = slots.fill(choices)  # (B, T)
    real = slots.real[:, None]  # (n * W, 1)
    filled = slots.where[slots.real > 0]
    at_slots = tokens[:, slots.where]  # (B, n * W)
    share_row = (at_slots[:, :, None] == at_slots[:, None, :]).to(oracle.vectors)
    start = movement.vectors[at_slots]  # (B, n * W, D)
    rows, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    rate = 2 * size / (STEPS * start.shape[2] ** 0.5 * slots.width**0.5)
    loss = OBJECTIVES["loss"].on_head(oracle.model.config)
    names = dict(oracle.model.named_parameters())
    for step in range(STEPS):
        share = ((step + 0.5) / STEPS) ** power
        between = weights_between(movement.initial, oracle.model, share)
        vectors = movement.vectors.lerp(oracle.vectors, share)[tokens]  # (B, T, D)
        leaf = rows.requires_grad_()
        replaced = vectors.index_copy(1, filled, leaf[:, slots.real > 0])
        with torch.enable_grad():
            logits = oracle.call.mixed(replaced, problem, {name: between[name] for name in names})
            losses = loss.score(logits, oracle.layout.labels[problem])
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        gradient = share_row @ (gradient * real)  # a word's row feels all of its places
        with torch.no_grad():
            mean = mean.lerp(gradient, 1 - _BETAS[0])
            square = square.lerp(gradient.square(), 1 - _BETAS[1])
            bias = [1 - beta ** (step + 1) for beta in _BETAS]
            change = (mean / bias[0]) / ((square / bias[1]).sqrt() + 1e-12)
            rows = rows.detach() - rate * change
    return ((rows - start) * real).view(len(choices), slots.slots, -1).float().cpu()
