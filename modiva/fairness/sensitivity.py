"""How much a prediction depends on given words: accumulated sensitivity, counterfactual gaps.

A sensitivity alone says little: scaling the logits moves it and changes no decision. So each one
stands beside its control, the same number for any token, and each gap between two groups of names
beside that between two names of one group.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel


def jacobian(model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Differentiate the class probabilities by the input vectors of every token.

    Args:
        model: a sequence classifier in evaluation mode.
        input_ids: (B, T).
        attention_mask: (B, T), 1 at words.

    Returns:
        (B, C, T, D): of probability C by vector D of token T; zero at padding.
    """
    embed = model.get_input_embeddings()
    look_up = getattr(model, "input_vectors", embed)
    vectors = look_up(input_ids).detach().requires_grad_()  # (B, T, D)
    logits = model(inputs_embeds=vectors, attention_mask=attention_mask).logits
    chances = logits.softmax(-1)  # (B, C)
    # Sentences do not depend on each other, so that one reverse pass serves all of a batch.
    found = [
        torch.autograd.grad(chances[:, k].sum(), vectors, retain_graph=True)[0]
        for k in range(chances.shape[1])
    ]
    return torch.stack(found, 1) * attention_mask[:, None, :, None]


def prediction_sensitivity(
    jacobians: Tensor, token_weights: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """Accumulate how much the class probabilities move with the vectors of weighted tokens.

    Source: Maughan, Krishna et al. 2022 (ACL), accumulated prediction sensitivity.

    Args:
        jacobians: (B, C, T, D) from `jacobian`.
        token_weights: (B, T), at least 0; divided by their sum in each sentence. Uniform weights
            over the words are the control; the sensitivity of a model of a protected status gives
            weights of the words that tell it.
        class_weights: (C,), at least 0; None weights all classes alike.

    Returns:
        (B,), comparable between models only in parts of the control's.
    """
    classes = jacobians.shape[1]
    if class_weights is None:
        class_weights = torch.ones(classes)
    weights = token_weights / token_weights.sum(-1, keepdim=True)  # (B, T)
    by_token = jacobians.abs().sum(-1)  # (B, C, T)
    shares = (class_weights / class_weights.sum()).to(by_token)
    return torch.einsum("bct,bt,c->b", by_token, weights.to(by_token), shares)


@dataclass(frozen=True)
class Gaps:
    """What swapping a name for another does to the predictions of sentences.

    Args:
        between: mean absolute change of the class probabilities between names of two groups.
        within: the same between two names of one group: the control.
        flips_between, flips_within: share of such pairs that are given different intents.
        signed: probability of the true intent with names of the first group less that with names
            of the second, mean over sentences.
        sentences: how many there are.
    """

    between: float
    within: float
    flips_between: float
    flips_within: float
    signed: float
    sentences: int


def counterfactual_gaps(chances: NDArray[np.float64], true: Sequence[int]) -> Gaps:
    """Compare the predictions of sentences with other names in them.

    Source: Garg et al. 2019 (counterfactual token fairness).

    Args:
        chances: (N, 2, S, C) class probabilities of N sentences, each with S names of two groups.
        true: (N,) the class of each sentence.

    Raises:
        ValueError: fewer than two names in a group, which leaves no control.
    """
    sentences, _, names, _ = chances.shape
    if names < 2:
        raise ValueError(f"{names} names a group: a gap within a group needs two or more")
    first, second = chances[:, 0], chances[:, 1]  # (N, S, C) each
    upper = np.triu_indices(names, 1)
    across = [(a, b) for a in range(names) for b in range(names)]
    between = _pairs(first, second, *zip(*across, strict=True))
    inside = [_pairs(group, group, *upper) for group in (first, second)]
    labels = np.asarray(true)
    signed = [group[np.arange(sentences), :, labels].mean() for group in (first, second)]
    return Gaps(
        between=between[0],
        within=(inside[0][0] + inside[1][0]) / 2,
        flips_between=between[1],
        flips_within=(inside[0][1] + inside[1][1]) / 2,
        signed=float(signed[0] - signed[1]),
        sentences=sentences,
    )


Names = Sequence[int] | NDArray[np.intp]


def _pairs(
    one: NDArray[np.float64], other: NDArray[np.float64], left: Names, right: Names
) -> tuple[float, float]:
    """Return the mean absolute change and the share of flips over pairs of names."""
    a, b = one[:, list(left)], other[:, list(right)]  # (N, P, C)
    return float(np.abs(a - b).mean()), float((a.argmax(-1) != b.argmax(-1)).mean())
