"""Which way words and lower layers moved, against the gradients of each candidate.

The rows of the embedding table tell which words were trained. A layer above them sees a word and
its place at once, and training moves it along the gradients of the sentences that it saw: if the
candidate was among them, the way the layer went lies in the candidate's own gradient. Gradients
are those of the margin at early points of the straight line from the initial to the final weights,
in the lower layers, nearest to the words: later points and higher layers tell less. There is
one for each candidate, as large as the model, so that this is a second look at the best of them.
"""

import re
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from attacks.oracle import GRADIENT_COST, Oracle
from attacks.ranker.features import Features
from attacks.ranker.initial import decay, interpolate, margin_oracle, moved_rows
from attacks.vectors import input_table

SHARES = (0.0, 0.25, 0.5)  # of the way from the initial weights
_LAYER = re.compile(r"\.(\d+)\.")
_TINY, _ROUNDING = 1e-12, 1e-5


def weight_features(oracle: Oracle, initial: PreTrainedModel, choices: Tensor) -> Features:
    """How the movement of the words and of the lower layers lies in the gradients of candidates.

    By cosine, up to the movement's length, which all candidates share; by the gradient's signs,
    since Adam's steps are nearer to those; and by the signs of both. Each feature is the mean of
    these over the points of the line, in deviations of the candidates': weights for each would be
    fitted to the noise of a few dozen shadow models.

    Args:
        oracle: of one problem under the trained weights, inside its context.
        initial: the weights that training began with.
        choices: (K, n), some dozens.
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
            for rows, at_slots, at_layers in _gradients(middle, choices, lower):
                words.append(_alignments(*_by_word(at_slots, moved, rows)))
                layers.append(_alignments(at_layers, way[None]))
    oracle.charge(0, len(SHARES) * GRADIENT_COST * len(choices))
    return {
        f"weights_{name}": _mean(torch.cat(its).view(len(SHARES), len(choices), -1).cpu())
        for name, its in (("words", words), ("layers", layers))
    }


def _alignments(gradients: Tensor, way: Tensor) -> Tensor:
    """(B, 3) of gradients (B, W) with the way (B or 1, W) that weights went."""
    # Gradients that are zero by theory, as of attention's key bias, have signs of rounding.
    seen = gradients.abs() > _ROUNDING * gradients.abs().amax(1, keepdim=True)
    signs = gradients.sign() * seen
    return torch.stack(
        [
            (gradients * way).sum(1) / (gradients.norm(dim=1) + _TINY),
            (signs * way).sum(1),
            (signs * way.sign()).sum(1),
        ],
        1,
    )


def _mean(values: Tensor) -> Tensor:
    """(K,) the mean over points and kinds (S, K, kinds), each in deviations over candidates."""
    centred = values - values.mean(1, keepdim=True)
    return (centred / (centred.std(1, keepdim=True) + _TINY)).mean((0, 2))


def lower_layers(model: PreTrainedModel) -> list[str]:
    """Names of the weights of the lower half of the encoder's layers.

    Of an encoder without numbered layers, of all that is not an embedding.
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


def _gradients(
    oracle: Oracle, choices: Tensor, names: list[str]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Candidates (B, n) with their margins' gradients: at slots (B, n, V), of weights (B, W)."""
    layout, model = oracle.layout, oracle.model
    length, slots = int(layout.lengths[0]), layout.positions.shape[1]
    where = layout.positions[0].flatten().clamp_max(length - 1)
    real = (layout.positions[0].flatten() < length).to(oracle.vectors)
    every = {name: weight.detach() for name, weight in model.named_parameters()}
    asked = {name: every[name] for name in names}
    margin = oracle.objective
    first = torch.zeros(1, dtype=torch.long, device=oracle.device)

    def score(weights: dict[str, Tensor], vectors: Tensor) -> Tensor:
        logits = oracle.call.mixed(vectors[None], first, every | weights)
        return -margin.score(logits, layout.labels[:1]).sum()

    gradients = vmap(grad(score, argnums=(0, 1)), in_dims=(None, 0))
    floats = 3 * sum(weight.numel() for weight in asked.values())
    rows = min(oracle.rows_per_chunk(length, gradient=True), oracle.memory // (4 * floats))
    for part in choices.split(max(1, rows)):
        problem = torch.zeros(len(part), dtype=torch.long, device=oracle.device)
        tokens = layout.fill(problem, part.to(oracle.device))[:, :length]
        with sdpa_kernel(SDPBackend.MATH):  # the others do not go with vmap
            of_weights, at = gradients(asked, oracle.vectors[tokens].detach())
        flat = torch.cat([of_weights[name].flatten(1) for name in names], 1)
        yield part, (at[:, where] * real[:, None]).view(len(part), slots, -1).float(), flat.float()


def _by_word(slots: Tensor, moved: list[Tensor], choices: Tensor) -> tuple[Tensor, Tensor]:
    """Of candidates (B, n), the gradients (B, n * V) of their words' rows, and how these moved.

    A word in several slots has one row, which feels all of its places; it stands in the first.
    """
    ways = torch.stack([its[choices[:, slot]] for slot, its in enumerate(moved)], 1).to(slots)
    same = (ways[:, :, None] == ways[:, None, :]).all(3)  # (B, n, n)
    first = ~same.tril(-1).any(2, keepdim=True)  # (B, n, 1)
    return ((same.to(slots) @ slots) * first).flatten(1), (ways * first).flatten(1)
