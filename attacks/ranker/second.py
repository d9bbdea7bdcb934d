"""The second look at the best candidates: what costs too much to compute for all."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.oracle import Oracle
from attacks.ranker.candidates import Described, is_large
from attacks.ranker.features import standardise
from attacks.ranker.replay import replay_features
from attacks.ranker.weights import weight_features

SMALL, LARGE = 200, 30  # candidates that get it, by the size of the model


def how_many(model: PreTrainedModel) -> int:
    """How many of the best candidates get a second look."""
    return LARGE if is_large(model) else SMALL


def second_look(
    oracle: Oracle,
    initial: PreTrainedModel | None,
    its: Described,
    best: Tensor,
    weights: Tensor,
) -> tuple[Tensor, tuple[str, ...]]:
    """Features (k, F) of the best candidates: the first utility, and what a second look gives.

    Small models: the first features once more, the replay, and which way weights moved. Large ones,
    of which shadow models are few: which way weights moved.
    """
    assert initial is not None
    first, choices = its.features[best], its.choices[best]
    utility = (first @ weights)[:, None]
    large = is_large(oracle.model)
    found = weight_features(oracle, initial, choices)
    if not large:
        found |= replay_features(oracle, initial, choices)
    matrix, names = standardise(found)
    if large:
        return torch.cat([utility, matrix], 1), ("first_utility", *names)
    return torch.cat([utility, first, matrix], 1), ("first_utility", *its.names, *names)
