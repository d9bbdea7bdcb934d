"""Evidence at a candidate's own tokens, for slots that have no places of their own.

The tokens of glued slots differ between candidates in number and kind, so that there is no place
where the vectors of options could be compared. What can be compared is each candidate's gradient
with the vectors of its own tokens, on average over them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.oracle import GRADIENT_COST, Oracle
from attacks.ranker.evidence import own_labels, slot_gradients, slot_vectors
from attacks.texts import WHOLE, Texts
from attacks.vectors import input_vectors

BEST = 50  # candidates of the highest margin, whose mean gradient stands for the secret's
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Pieces:
    """Candidates at the tokens that are not the same in all of a space, or at their slots.

    Args:
        margin: (K,).
        gradient: (K, W, D) of the margin with respect to the vectors of those tokens.
        vectors: (K, W, D) of those tokens.
        present: (K, W) which of them a candidate has.
    """

    margin: Tensor
    gradient: Tensor
    vectors: Tensor
    present: Tensor


def piece_features(oracle: Oracle, choices: Tensor, vocabulary: Tensor) -> dict[str, Tensor]:
    """Compare vectors of a candidate's own tokens with its margin's gradient: (K,) each.

    Args:
        oracle: of one problem without places, with the objective `margin`, inside its context.
        choices: (K, n).
        vocabulary: norms (vocabulary,) of all token vectors.
    """
    its = pieces(oracle, choices)
    weight = its.present / its.present.sum(1, keepdim=True).clamp_min(1)  # (K, W)
    mean = (its.vectors * its.present[:, :, None]).sum((0, 1)) / its.present.sum().clamp_min(1)
    rows = (its.vectors - mean) * its.present[:, :, None]  # (K, W, D)
    size = its.gradient.norm(dim=2)  # (K, W)
    dot = (its.gradient * rows).sum(2)
    cosine = dot / (size * rows.norm(dim=2) + _TINY)
    absent = ~its.present.bool()
    log = torch.log(size + _TINY)
    steep = (log * weight).sum(1)
    norms = (its.vectors.norm(dim=2) - vocabulary.mean()) / (vocabulary.std() + _TINY)
    found = {
        "dot": (dot * weight).sum(1),
        "cosine": (cosine * weight).sum(1),
        "cosine_worst": cosine.masked_fill(absent, torch.inf).amin(1),
        "sign": ((its.gradient.sign() * rows).sum(2) * weight).sum(1),
        "steepness": steep,
        "steepness_worst": log.masked_fill(absent, torch.inf).amin(1),
        "sure_and_steep": _z(its.margin) * _z(steep),
        "row_present": (norms * weight).sum(1),
    }
    best = its.margin.topk(min(BEST, len(choices))).indices
    for name, gradient in (
        ("best", its.gradient[best].mean(0)),
        ("best_sign", its.gradient[best].sign().mean(0)),
        ("all", its.gradient.mean(0)),
    ):  # (W, D), by the place from the first token that differs
        found[f"{name}_own"] = ((gradient * rows).sum(2) * weight).sum(1)
    return found


def pieces(oracle: Oracle, choices: Tensor, labels: Tensor | None = None) -> Pieces:
    """Differentiate the margin at exactly these candidates, with respect to their own tokens.

    Args:
        oracle: of one problem, with the objective `margin`, inside its context.
        choices: (K, n).
        labels: (K,) whose margin; None takes the problem's.
    """
    problem, call = oracle.problems[0], oracle.call
    labels = own_labels(oracle, choices, labels)
    if problem.placed:
        its = slot_gradients(oracle, choices, labels)
        slots = enumerate(slot_vectors(oracle))
        own = torch.stack([rows[choices[:, slot]] for slot, rows in slots], 1)  # (K, n, V)
        return Pieces(its.margin, its.gradient, own, torch.ones(own.shape[:2]))
    start, end = shared(problem.texts)
    tokens = problem.texts.tokens(choices)
    width = int(tokens.lengths.max()) - start - end
    margin = torch.zeros(len(choices))
    gradient, vectors = torch.zeros(0), torch.zeros(0)
    present = torch.arange(width) < (tokens.lengths - start - end)[:, None]  # (K, W)
    way = ""
    for length in tokens.lengths.unique().tolist():
        rows = (tokens.lengths == length).nonzero().squeeze(1)
        for part in rows.split(oracle.rows_per_chunk(length, gradient=True)):
            inputs = tokens.rows(part, length, oracle.device)
            way = way or call.text_way(inputs)
            leaf = input_vectors(oracle.model, inputs["input_ids"]).requires_grad_()  # (B, T, D)
            with torch.enable_grad():
                logits = call.text_mixed(inputs, leaf, way)
                score = -oracle.objective.score(logits, labels[part.to(labels.device)])
                (slope,) = torch.autograd.grad(score.sum(), leaf)
            if not gradient.numel():
                gradient = torch.zeros(len(choices), width, leaf.shape[2])
                vectors = torch.zeros_like(gradient)
            margin[part] = score.detach().float().cpu()
            gradient[part, : length - start - end] = slope[:, start : length - end].float().cpu()
            at_own = leaf.detach()[:, start : length - end]
            vectors[part, : length - start - end] = at_own.float().cpu()
    oracle.charge(0, GRADIENT_COST * len(choices))
    return Pieces(margin, gradient, vectors, present.float())


def shared(texts: Texts) -> tuple[int, int]:
    """Count the first and last tokens that all sentences of a space share.

    Those of a space of more than `WHOLE` are the first sentence, the last and all that have one
    option of the last in the first.
    """
    sizes = [len(options) for options in texts.options]
    total = 1
    for size in sizes:
        total *= size
    if total <= WHOLE:
        tokens = texts.every
    else:
        rows = [[0] * len(sizes), [size - 1 for size in sizes]]
        rows += [[s - 1 if n == k else 0 for n, s in enumerate(sizes)] for k in range(len(sizes))]
        tokens = texts.tokens(torch.tensor(rows))
    ids, lengths = tokens.inputs["input_ids"], tokens.lengths
    shortest = int(lengths.min())
    start = 0
    while start < shortest and bool((ids[:, start] == ids[0, start]).all()):
        start += 1
    every = torch.arange(len(ids))
    end = 0
    while end < shortest - start and bool(
        (ids[every, lengths - 1 - end] == ids[0, int(lengths[0]) - 1 - end]).all()
    ):
        end += 1
    return start, end


def _z(values: Tensor) -> Tensor:
    return (values - values.mean()) / (values.std() + _TINY)
