"""Calibration of the margin: the effect of each option on models that never saw the secret.

Where an option is a common word, the margin rises with it whether or not it stands in the secret:
"5" raises `RateBook` in every model of such sentences. The attacker's shadow models hold other
secrets, so what these agree on is no evidence, and a ranker learns how far to discount it. This is
the calibration of membership inference (Watson et al. 2022; Carlini et al. 2022, LiRA) with the
mean effect of each option in place of the score of each candidate, for spaces of any size.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.objectives import label_margins
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.ranker.margins import draw

DRAWN = 2_000  # candidates whose margins give the effects

Effects = Mapping[str, Tensor]  # by label: (options of all slots,)


@dataclass(frozen=True, eq=False)
class Usual:
    """Mean effects of options on the margin, by problem and label.

    Args:
        sums: by problem, as `problem_key` names it, and label: (options of all slots,).
        counts: how many models each sum is of.
    """

    sums: Mapping[str, Effects] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, shadows: Sequence[tuple[str, Effects]]) -> "Usual":
        """Sum up the effects of shadow models, each with the key of the problem."""
        sums: dict[str, dict[str, Tensor]] = defaultdict(dict)
        counts: dict[str, dict[str, int]] = defaultdict(dict)
        for key, effects in shadows:
            for label, effect in effects.items():
                sums[key][label] = sums[key].get(label, 0) + effect
                counts[key][label] = counts[key].get(label, 0) + 1
        return cls(sums, counts)

    def feature(
        self, problem: Completion, label: str, choices: Tensor, without: Effects | None = None
    ) -> Tensor:
        """Return the mean effect (K,) of candidates (K, n); zeros if no model met them.

        Args:
            problem: whose candidates they are.
            label: name of its label.
            choices: (K, n).
            without: effects of one of the models summed up, which is to be left out.
        """
        key = problem_key(problem)
        count = self.counts.get(key, {}).get(label, 0) - (without is not None)
        if count < 1:
            return torch.zeros(len(choices))
        total = self.sums[key][label]
        if without is not None:
            total = total - without[label]
        if len(total) != sum(problem.sizes):
            raise AttackError(
                f"the ranker holds {len(total)} effects of a sentence with {sum(problem.sizes)} "
                "options: it is damaged, fit it again"
            )
        first = torch.tensor([0, *problem.sizes[:-1]]).cumsum(0)
        return (total / count)[choices + first].sum(1)


def problem_key(problem: Completion) -> str:
    """Name the sentence and the options of each slot, alike for every model and label."""
    return hashlib.sha256(repr(problem.parts).encode()).hexdigest()[:16]


def label_name(model: PreTrainedModel, problem: Completion) -> str:
    """Return the name that the model gives to the label of a problem."""
    return label_names(model)[problem.label]


def label_names(model: PreTrainedModel) -> list[str]:
    """Return the names of a model's labels in the order of the logits; equal ones with an index."""
    names: Any = model.config.id2label
    texts = [str(names[number]) for number in range(len(names))]
    return [
        text if texts.count(text) == 1 else f"{text} ({number})"
        for number, text in enumerate(texts)
    ]


def option_effects(oracle: Oracle, generator: torch.Generator) -> Effects:
    """Measure what each option adds to the margin of every label, in deviations of that margin.

    Args:
        oracle: of one problem, inside its context.
        generator: draws the candidates.

    Returns:
        For each label of the model, by name, the effects of the options of slot 1, slot 2 ... one
        after the other; of options that were not drawn zero.
    """
    sizes = oracle.problems[0].sizes
    choices = draw(sizes, DRAWN, generator)
    logits = oracle.logits(torch.zeros(DRAWN, dtype=torch.long), choices).double()
    margins = label_margins(logits, oracle.model.config)  # (N, L)
    margins = (margins - margins.mean(0)) / margins.std(0).clamp_min(1e-9)
    effects = []
    for slot, size in enumerate(sizes):
        total = torch.zeros(size, margins.shape[1], dtype=torch.double)
        total.index_add_(0, choices[:, slot], margins)
        drawn = torch.bincount(choices[:, slot], minlength=size).clamp_min(1)
        effects.append(total / drawn[:, None])
    table = torch.cat(effects).float()  # (options of all slots, L)
    return dict(zip(label_names(oracle.model), table.unbind(1), strict=True))
