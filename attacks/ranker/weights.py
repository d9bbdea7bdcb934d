"""Which way all weights moved, against the gradients of each candidate.

The rows of the embedding table tell which words were trained. A layer above them sees a word and
its place at once, and training moves it along the gradients of the sentences that it saw: if the
candidate was among them, the way the layer went lies in the candidate's own gradient. Gradients
are those of the margin at a few points of the straight line from the initial to the final weights;
the lower layers, nearest to the words, and the early points tell most. They are computed a
candidate at a time, so that this is a second look at the best candidates.
"""

import re
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.objectives import OBJECTIVES
from attacks.oracle import GRADIENT_COST, Oracle
from attacks.ranker.features import Features
from attacks.ranker.initial import decay, interpolate, margin_oracle, moved_rows

SHARES = (0.0, 0.25, 0.5)  # of the way from the initial weights
_LAYER = re.compile(r"\.(\d+)\.")
_TINY = 1e-12


def weight_features(oracle: Oracle, initial: PreTrainedModel, choices: Tensor) -> Features:
    """How the movement of words, lower and upper layers lies in the gradients of candidates.

    By cosine, up to the movement's length, which all candidates share; by the gradient's signs,
    since Adam's steps are nearer to those; and by the signs of both.

    Args:
        oracle: of one problem under the trained weights, inside its context.
        initial: the weights that training began with.
        choices: (K, n), a few dozen.
    """
    groups = layer_groups(oracle.model)
    last, first = dict(oracle.model.named_parameters()), dict(initial.named_parameters())
    movement = {
        group: torch.cat([(last[name] - first[name]).detach().flatten() for name in names])
        for group, names in groups.items()
    }
    with margin_oracle(initial, oracle.problems[0], oracle.memory) as before:
        moved = moved_rows(oracle, before, decay(oracle.model, initial))
    found: dict[str, list[float]] = {}
    for share in SHARES:
        between = interpolate(initial, oracle.model, share)
        with margin_oracle(between, oracle.problems[0], oracle.memory) as middle:
            for row, slots, layers in _gradients(middle, choices, groups):
                pairs = {group: (its, movement[group]) for group, its in layers.items()}
                pairs["words"] = _by_word(slots, moved, row)
                for group, (gradient, way) in pairs.items():
                    values = {
                        "cosine": gradient @ way / (gradient.norm() + _TINY),
                        "sign": gradient.sign() @ way,
                        "signs": gradient.sign() @ way.sign(),
                    }
                    for kind, value in values.items():
                        found.setdefault(f"{group}_{share}_{kind}", []).append(float(value))
    oracle.charge(0, len(SHARES) * GRADIENT_COST * len(choices))
    return {name: torch.tensor(values) for name, values in found.items()}


def layer_groups(model: PreTrainedModel) -> dict[str, list[str]]:
    """Names of the encoder's weights, embeddings left out, by lower and upper half of its layers.

    Weights that belong to no numbered layer are of the upper half.
    """
    embeddings = {id(weight) for weight in model.get_input_embeddings().parameters()}
    inside = {id(weight) for weight in model.base_model.parameters()}
    numbers = {
        name: int(match[1]) if (match := _LAYER.search(name)) else None
        for name, weight in model.named_parameters()
        if id(weight) in inside - embeddings and "embedding" not in name
    }
    middle = (max((n for n in numbers.values() if n is not None), default=0) + 1) / 2
    groups: dict[str, list[str]] = {"lower": [], "upper": []}
    for name, number in numbers.items():
        groups["lower" if number is not None and number < middle else "upper"].append(name)
    return {group: names for group, names in groups.items() if names}


def _gradients(
    oracle: Oracle, choices: Tensor, groups: dict[str, list[str]]
) -> Iterator[tuple[Tensor, Tensor, dict[str, Tensor]]]:
    """Each candidate (n,) with its margin's gradients: at its slots (n, V), and of each group."""
    layout, model = oracle.layout, oracle.model
    length, slots = int(layout.lengths[0]), layout.positions.shape[1]
    where = layout.positions[0].flatten().clamp_max(length - 1)
    real = (layout.positions[0].flatten() < length).to(oracle.vectors)
    weights = dict(model.named_parameters())
    asked = [weights[name] for names in groups.values() for name in names]
    margin = OBJECTIVES["margin"]
    model.requires_grad_(True)
    for row in choices:
        problem = torch.zeros(1, dtype=torch.long, device=oracle.device)
        tokens = layout.fill(problem, row[None].to(oracle.device))[:, :length]
        vectors = oracle.vectors[tokens].detach().requires_grad_()
        with torch.enable_grad():
            logits = model(inputs_embeds=vectors).logits.float()
            score = -margin.score(logits, layout.labels[problem])
            at, *rest = torch.autograd.grad(score.sum(), [vectors, *asked], allow_unused=True)
        flat = iter(
            torch.zeros_like(weight).flatten() if its is None else its.flatten()
            for weight, its in zip(asked, rest, strict=True)
        )
        layers = {group: torch.cat([next(flat) for _ in names]) for group, names in groups.items()}
        yield row, (at[0, where] * real[:, None]).view(slots, -1), layers


def _by_word(slots: Tensor, moved: list[Tensor], row: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of each distinct word's row, and how the row moved, both flattened."""
    gradients: dict[int, Tensor] = {}
    ways: dict[int, Tensor] = {}
    for slot, option in enumerate(row.tolist()):
        way = moved[slot][option]
        same = next((word for word, its in ways.items() if torch.equal(its, way)), None)
        word = len(ways) if same is None else same
        ways[word] = way
        gradients[word] = gradients.get(word, 0) + slots[slot]
    return torch.cat(list(gradients.values())).cpu(), torch.cat(list(ways.values())).cpu()
