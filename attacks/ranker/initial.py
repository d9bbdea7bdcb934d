"""What the initial weights add: how far training moved each row, and along which gradients."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.objectives import OBJECTIVES
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.ranker.features import (
    Features,
    gradient_features,
    option_features,
    sharpness_features,
)
from attacks.ranker.gradients import SlotGradients, slot_gradients, slot_vectors
from attacks.vectors import check_precision, vocabulary_vectors

_TINY = 1e-9


def check_initial(model: PreTrainedModel, initial: PreTrainedModel) -> None:
    """Raise AttackError where `initial` cannot be what `model` was trained from, or is rounded."""
    check_precision(initial)
    mine = {name: value.shape for name, value in model.state_dict().items()}
    its = {name: value.shape for name, value in initial.state_dict().items()}
    differ = sorted(name for name in {*mine, *its} if mine.get(name) != its.get(name))
    if differ:
        raise AttackError(
            f"the initial weights are not of the target's architecture: {differ[0]} is "
            f"{tuple(mine.get(differ[0], ()))} in the target and {tuple(its.get(differ[0], ()))} "
            "before training; give the checkpoint that it was fine-tuned from"
        )


def interpolate(initial: PreTrainedModel, final: PreTrainedModel, share: float) -> PreTrainedModel:
    """A copy of the model with weights `share` of the way from `initial` to `final`."""
    model = copy.deepcopy(final)
    first = initial.state_dict()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(first[name].to(value).lerp(value, share))
    return model


@contextmanager
def margin_oracle(
    model: PreTrainedModel, problem: Completion, memory: int | None = None
) -> Iterator[Oracle]:
    """An oracle of one problem on the margin."""
    with Oracle(model, [problem], OBJECTIVES["margin"], memory=memory) as oracle:
        yield oracle


def decay(model: PreTrainedModel, initial: PreTrainedModel) -> float:
    """What weight decay left of a row that no gradient moved: the median over the vocabulary."""
    before, after = (vocabulary_vectors(one) for one in (initial, model))  # (vocabulary, D)
    kept = (before * after).sum(1) / (before.square().sum(1) + _TINY)
    return float(kept.median())


def moved_rows(oracle: Oracle, before: Oracle, kept: float) -> list[Tensor]:
    """How far the vectors of each slot's options moved beyond weight decay: (K_slot, V) each."""
    return [
        after - kept * first
        for after, first in zip(slot_vectors(oracle), slot_vectors(before), strict=True)
    ]


def movement_evidence(moved: Sequence[Tensor]) -> list[Tensor]:
    """Log distance that each option's row has moved, against the mean over its slot's options.

    Words that no gradient met stay put, and are evidence against.
    """
    logs = [torch.log(rows.norm(dim=1) + 1e-6) for rows in moved]
    return [its - its.mean() for its in logs]


def initial_features(
    oracle: Oracle,
    initial: PreTrainedModel,
    choices: Tensor,
    groups: Tensor,
    final: SlotGradients,
) -> Features:
    """Features (K,) of candidates that need the initial weights.

    Gradients are taken where training began, half way on the straight line, and where it ended:
    a row was moved by the gradients of all of training, not by those of its end.

    Args:
        oracle: of one problem under the trained weights, inside its context.
        initial: the weights that training began with.
        choices: (K, n).
        groups: (n, n) which slots hold the same options.
        final: gradients at the candidates under the trained weights.
    """
    problem = oracle.problems[0]
    kept = decay(oracle.model, initial)
    found: Features = {}
    with margin_oracle(initial, problem, oracle.memory) as before:
        moved = moved_rows(oracle, before, kept)
        first = slot_gradients(before, choices)
        oracle.charge(0, before.evaluations[0])
    half_way = interpolate(initial, oracle.model, 0.5)
    with margin_oracle(half_way, problem, oracle.memory) as middle:
        half = slot_gradients(middle, choices)
        oracle.charge(0, middle.evaluations[0])
    found["gain"] = final.margin - first.margin
    found["half_margin"] = half.margin
    found |= option_features(movement_evidence(moved), choices, groups, tag="moved")
    for tag, gradients in (("final_", final), ("half_", half), ("first_", first)):
        found |= gradient_features(gradients, moved, choices, groups, tag=f"moved_{tag}")
    return found | sharpness_features(half, tag="half_")
