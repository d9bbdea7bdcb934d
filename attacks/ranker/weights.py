"""Which way words and lower layers moved, against the gradients of each candidate.

The rows of the embedding table tell which words were trained. A layer above them sees a word and
its place at once, and training moves it along the gradients of the sentences that it saw: if the
candidate was among them, the way the layer went lies in the candidate's own gradient. Gradients
are those of the margin at early points of the straight line from the initial to the final weights,
in the lower layers, nearest to the words: later points and higher layers tell less. They are
computed a candidate at a time, so that this is a second look at the best candidates.
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

SHARES = (0.0, 0.25)  # of the way from the initial weights
_LAYER = re.compile(r"\.(\d+)\.")
_TINY = 1e-12


def weight_features(oracle: Oracle, initial: PreTrainedModel, choices: Tensor) -> Features:
    """How the movement of the words and of the lower layers lies in the gradients of candidates.

    By cosine, up to the movement's length, which all candidates share; by the gradient's signs,
    since Adam's steps are nearer to those; and by the signs of both. Each feature is the mean of
    these over the points of the line, in deviations of the candidates': shadow models of a large
    target are few, and weights for each would be fitted to noise.

    Args:
        oracle: of one problem under the trained weights, inside its context.
        initial: the weights that training began with.
        choices: (K, n), a few dozen.
    """
    lower = lower_layers(oracle.model)
    last, first = dict(oracle.model.named_parameters()), dict(initial.named_parameters())
    way = torch.cat([(last[name] - first[name]).detach().flatten() for name in lower])
    with margin_oracle(initial, oracle.problems[0], oracle.memory) as before:
        moved = moved_rows(oracle, before, decay(oracle.model, initial))
    words, layers = [], []
    for share in SHARES:
        between = interpolate(initial, oracle.model, share)
        with margin_oracle(between, oracle.problems[0], oracle.memory) as middle:
            for row, at_slots, at_layers in _gradients(middle, choices, lower):
                words.append(_alignments(*_by_word(at_slots, moved, row)))
                layers.append(_alignments(at_layers, way))
    oracle.charge(0, len(SHARES) * GRADIENT_COST * len(choices))
    return {
        f"weights_{name}": _mean(torch.tensor(its).view(len(SHARES), len(choices), -1))
        for name, its in (("words", words), ("layers", layers))
    }


def _alignments(gradient: Tensor, way: Tensor) -> tuple[float, float, float]:
    """Of a gradient with the way that weights went: cosine, by its signs, by the signs of both."""
    return (
        float(gradient @ way / (gradient.norm() + _TINY)),
        float(gradient.sign() @ way),
        float(gradient.sign() @ way.sign()),
    )


def _mean(values: Tensor) -> Tensor:
    """(K,) the mean over points and kinds (S, K, kinds), each in deviations over candidates."""
    centred = values - values.mean(1, keepdim=True)
    return (centred / (centred.std(1, keepdim=True) + _TINY)).mean((0, 2))


def lower_layers(model: PreTrainedModel) -> list[str]:
    """Names of the weights of the lower half of the encoder's layers.

    Of an encoder without numbered layers, of all that is not an embedding.
    """
    embeddings = {id(weight) for weight in model.get_input_embeddings().parameters()}
    inside = {id(weight) for weight in model.base_model.parameters()} - embeddings
    names = [
        name
        for name, weight in model.named_parameters()
        if id(weight) in inside and "embedding" not in name
    ]
    numbers = {name: int(found[1]) for name in names if (found := _LAYER.search(name))}
    middle = (max(numbers.values(), default=0) + 1) / 2
    return [name for name in numbers if numbers[name] < middle] or names


def _gradients(
    oracle: Oracle, choices: Tensor, names: list[str]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Each candidate (n,) with its margin's gradients: at its slots (n, V), of weights (W,)."""
    layout, model = oracle.layout, oracle.model
    length, slots = int(layout.lengths[0]), layout.positions.shape[1]
    where = layout.positions[0].flatten().clamp_max(length - 1)
    real = (layout.positions[0].flatten() < length).to(oracle.vectors)
    weights = dict(model.named_parameters())
    asked = [weights[name] for name in names]
    margin = OBJECTIVES["margin"]
    for weight in asked:
        weight.requires_grad_(True)
    for row in choices:
        problem = torch.zeros(1, dtype=torch.long, device=oracle.device)
        tokens = layout.fill(problem, row[None].to(oracle.device))[:, :length]
        vectors = oracle.vectors[tokens].detach().requires_grad_()
        with torch.enable_grad():
            logits = model(inputs_embeds=vectors).logits.float()
            score = -margin.score(logits, layout.labels[problem])
            at, *rest = torch.autograd.grad(score.sum(), [vectors, *asked], allow_unused=True)
        flat = [
            torch.zeros_like(weight).flatten() if its is None else its.flatten()
            for weight, its in zip(asked, rest, strict=True)
        ]
        yield row, (at[0, where] * real[:, None]).view(slots, -1), torch.cat(flat)


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
