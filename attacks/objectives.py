"""What an attack minimises: scores of logits against the label, LOWER IS BETTER."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attacks.errors import AttackError
from canaries.spaces import suggest

Score = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A score of candidates and, where gradients need another shape, what is optimised instead.

    Args:
        name: how results name it.
        score: logits (B, C) and labels (B,) to scores (B,); lower is better. It ranks candidates.
        surrogate: the same, for gradient steps only; None takes `score`.
    """

    name: str
    score: Score
    surrogate: Score | None = None

    @property
    def optimised(self) -> Score:
        """The function that gradient steps descend."""
        return self.surrogate or self.score

    def on_head(self, config: Any) -> "Objective":
        """Apply the objective to the logits of a head of this configuration.

        The labels of a multi-label head are trained apart, each by a sigmoid: a label's logit
        stands against zero alone, and the loss is its binary cross-entropy.
        """
        if not is_multi_label(config):
            return self
        surrogate = self.surrogate and _alone(self.surrogate)
        return replace(self, score=_alone(self.score), surrogate=surrogate)


def is_multi_label(config: Any) -> bool:
    """Tell whether each label of a model has a sigmoid, by the configuration."""
    return bool(config.problem_type == "multi_label_classification")


def label_margins(logits: Tensor, config: Any) -> Tensor:
    """Compute log-odds (N, L) of every label of a head; HIGHER IS LIKELIER here."""
    if is_multi_label(config):
        return logits
    log_share = logits.log_softmax(1)
    return log_share - torch.log(-torch.expm1(log_share.clamp_max(-1e-12)))


def _alone(score: Score) -> Score:
    def alone(logits: Tensor, labels: Tensor) -> Tensor:
        own = logits.gather(1, labels.unsqueeze(1))  # (B, 1)
        return score(torch.cat([torch.zeros_like(own), own], 1), torch.ones_like(labels))

    return alone


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute log-odds against the label: logsumexp of the other logits minus the label's, (B,)."""
    chosen = labels.unsqueeze(1)  # (B, 1)
    others = logits.scatter(1, chosen, -torch.inf)
    return others.logsumexp(1) - logits.gather(1, chosen).squeeze(1)


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross-entropy on the label, (B,).

    Computed as softplus of the margin, which is the same number without the cancellation that
    makes a confident model's candidates tie at zero in single precision.
    """
    return F.softplus(margin(logits, labels), threshold=80.0)


def worst_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the largest other logit minus the label's, (B,)."""
    chosen = labels.unsqueeze(1)
    others = logits.scatter(1, chosen, -torch.inf)
    return others.amax(1) - logits.gather(1, chosen).squeeze(1)


def hinge(kappa: float) -> Objective:
    """Margin that stops pulling once the label leads by `kappa` (Guo et al. 2021, targeted).

    The clamp serves the gradient only: candidates are ranked by the unclamped margin, since
    otherwise all that reach `kappa` would tie.
    """

    def clamped(logits: Tensor, labels: Tensor) -> Tensor:
        return (worst_margin(logits, labels) + kappa).clamp_min(0.0)

    return Objective("hinge", worst_margin, clamped)


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {"loss": Objective("loss", loss), "margin": Objective("margin", margin), "hinge": hinge(5.0)}
)


def get_objective(name: str | Objective) -> Objective:
    """Return the objective of that name.

    Raises:
        AttackError: the name is unknown; the message lists the known ones.
    """
    if isinstance(name, Objective):
        return name
    if name not in OBJECTIVES:
        raise AttackError(
            f"unknown objective {name!r}{suggest(name, OBJECTIVES)}: use one of "
            f"{', '.join(OBJECTIVES)}"
        )
    return OBJECTIVES[name]
