"""The rule of `nn.Embedding`: tokens that occur twice in an example share one row's gradient."""

import torch
from torch import Tensor, nn

from modiva.classifiers import stacked
from modiva.privacy.rules.registry import (
    Call,
    Contribution,
    Rule,
    accumulate,
    models_of,
    register_rule,
    squared_sum,
    weighted_sum,
)


def _check(module: nn.Module) -> str | None:
    if isinstance(module, stacked.Embedding):
        return None
    assert isinstance(module, nn.Embedding)
    if module.max_norm is not None:
        return "its max_norm changes the weight in the forward pass: set max_norm=None"
    if module.scale_grad_by_freq:
        return "scale_grad_by_freq makes examples depend on each other: set it to False"
    if module.sparse:
        return "noise is dense, and so must its gradient be: set sparse=False"
    return None


def _contribute(call: Call) -> Contribution:
    module = call.module
    assert isinstance(module, nn.Embedding | stacked.Embedding)
    weight = call.trainable["weight"]
    indices = call.argument(0, "input")
    ids = indices.reshape(len(indices), -1).long()  # (B, S)
    dtype = weight.dtype
    gradients = call.gradient.to(dtype).reshape(*ids.shape, -1)  # (B, S, D)
    kept = None if module.padding_idx is None else ids != module.padding_idx  # (B, S)
    if weight.shape[-2] <= 2 * ids.shape[1]:
        return _small_table(weight, ids, gradients, kept, models_of(module))

    squares = call.shared(call.gradient, "row squares", lambda: (gradients * gradients).sum(2))
    if kept is not None:
        squares = squares * kept
    total = squares.sum(1) + _cross_terms(ids, gradients, kept)

    def add(weights: Tensor) -> None:
        if kept is None:
            column = weights.view(-1, 1, 1)
        else:
            column = (weights.unsqueeze(1) * kept).unsqueeze(2)
        rows = (gradients * column).flatten(0, 1)
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        places = module.rows(ids) if isinstance(module, stacked.Embedding) else ids
        weight.grad.view(-1, weight.shape[-1]).index_add_(0, places.flatten(), rows)

    return Contribution(total, add)


def _cross_terms(ids: Tensor, gradients: Tensor, kept: Tensor | None) -> Tensor:
    """Return 2 sum <g_s, g_t> over pairs s < t of equal ids of each example: (B,)."""
    equal = ids.unsqueeze(2) == ids.unsqueeze(1)  # (B, S, S)
    if kept is not None:
        equal &= kept.unsqueeze(2)
    pairs = equal.triu_(1).nonzero()  # (P, 3)
    totals = gradients.new_zeros(len(ids))
    if len(pairs) > ids.numel():
        # Many duplicates: all products at once are cheaper than gathering the pairs.
        return 2 * ((gradients @ gradients.mT) * equal).sum((1, 2))
    if len(pairs):
        example, first, second = pairs.unbind(1)
        products = (gradients[example, first] * gradients[example, second]).sum(1)
        totals.index_add_(0, example, products)
    return 2 * totals


def _small_table(
    weight: nn.Parameter, ids: Tensor, gradients: Tensor, kept: Tensor | None, models: int
) -> Contribution:
    """Hold each example's gradient (V, D): no larger than its output where the table is small."""
    batch, places = ids.shape
    one_hot = gradients.new_zeros(batch, weight.shape[-2], places)
    one_hot.scatter_(1, ids.unsqueeze(1), 1.0 if kept is None else kept.unsqueeze(1).to(one_hot))
    per_example = one_hot @ gradients  # (B, V, D)

    def add(weights: Tensor) -> None:
        accumulate(weight, weighted_sum(weights, per_example, models))

    return Contribution(squared_sum(per_example), add)


for _layer in (nn.Embedding, stacked.Embedding):
    register_rule(_layer, Rule(_contribute, parameters=("weight",), check=_check))
