"""How far the best candidate of a label stands out of its space, in two kinds of evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.objectives import label_margins
from attacks.problem import Completion
from attacks.ranker.margins import draw, margin_oracle
from attacks.ranker.movement import decay
from attacks.ranker.pieces import pieces
from attacks.ranker.traced import Rows, joined
from attacks.search.exhaustive import unravel

KINDS = ("score", "gradient")  # of evidence, as `Standing.values` has them
COMPARED = 32  # random candidates that a gradient is compared with
SWEEPS, SWAPS = 10, 16  # of the climb in spaces that are not scored whole
_TINY = 1e-9
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Models:
    """The target, and what else is known of its training.

    Args:
        target: in which candidates are scored.
        reference: a model without the secret, whose evidence is taken off.
        initial: the weights before training: what vectors moved by takes the place of vectors.
        rows: of the target, where the best candidates of a whole space are those by score and rows;
            None where they are those by score alone.
    """

    target: PreTrainedModel
    reference: PreTrainedModel | None = None
    initial: PreTrainedModel | None = None
    rows: Rows | None = None

    @cached_property
    def base(self) -> "Models | None":
        """The reference in the target's place."""
        if self.reference is None:
            return None
        return Models(self.reference, initial=self.initial)

    @cached_property
    def kept(self) -> float:
        """What weight decay left of a row that no gradient met."""
        return 0.0 if self.initial is None else decay(self.target, self.initial)


@dataclass(frozen=True, eq=False)
class Standing:
    """Where the best candidate of a label stands.

    Args:
        values: of each of `KINDS`; higher stands out more, NaN where a kind cannot be told.
    """

    values: tuple[float, ...]

    def lower(self, other: "Standing") -> "Standing":
        """Return the lower of both in every kind."""
        pairs = zip(self.values, other.values, strict=True)
        return replace(self, values=tuple(min(pair) for pair in pairs))


class Space:
    """The candidates of one sentence that are scored for all labels: all of them, or a sample.

    Args:
        models: the target and what is known of its training.
        problem: the sentence.
        size: how many candidates; all where the space has no more.
        generator: of every random draw.

    Raises:
        AttackError: the model gives no finite logits.
    """

    def __init__(
        self, models: Models, problem: Completion, size: int, generator: torch.Generator
    ) -> None:
        self.models, self.problem = models, problem
        self.generator = generator
        self.whole = size == problem.size
        if self.whole:
            self.choices = unravel(torch.arange(size), problem.sizes)  # (K, n)
        else:
            self.choices = draw(problem.sizes, size, generator)
        logits = self.logits(models.target, self.choices)
        self.margins = label_margins(logits, models.target.config)  # (K, L)
        contrast = _centred(logits)
        if models.reference is not None:
            logits = self.logits(models.reference, self.choices)
            contrast = contrast - _centred(logits)
        self.median = contrast.median(0).values  # (L,)

    def logits(self, model: PreTrainedModel, choices: Tensor) -> Tensor:
        """Score choices (N, n) for all labels: logits (N, L)."""
        with margin_oracle(model, self.problem) as oracle:
            return oracle.logits(torch.zeros(len(choices), dtype=torch.long), choices).double()

    def best(self, labels: Sequence[int]) -> list[Standing]:
        """Measure how the best candidate of each label stands out.

        The best of a whole space is the first as the attack ranked it: by score, or by score and
        rows. That of a sample is the best by score after a climb.
        """
        if not labels:
            return []
        column = torch.tensor(labels)
        top, at = self.margins[:, column].max(0)
        if self.models.rows is not None:
            at = joined(self.margins[:, column].T, self._rows).argmax(1)
        best = self.choices[at]  # (A, n)
        moving = torch.arange(0 if self.whole else len(labels))
        for _ in range(SWEEPS):
            if not len(moving):
                break
            trial, owner = self._swaps(best[moving])
            margins = label_margins(
                self.logits(self.models.target, trial), self.models.target.config
            )
            score = margins[torch.arange(len(trial)), column[moving[owner]]]
            risen = []
            for place, row in enumerate(moving.tolist()):
                mine = (owner == place).nonzero().squeeze(1)
                up = mine[score[mine].argmax()]
                if score[up] > top[row]:
                    top[row], best[row] = score[up], trial[up]
                    risen.append(row)
            moving = torch.tensor(risen, dtype=torch.long)
        return self.standings(best, labels)

    def standings(self, choices: Tensor, labels: Sequence[int]) -> list[Standing]:
        """Measure how choices (A, n) stand out, each for its label."""
        models, column = self.models, torch.tensor(labels)
        lifts = _centred(self.logits(models.target, choices)) - self.median
        gradients = self._gradients(models, choices, column)
        if models.base is not None:
            lifts = lifts - _centred(self.logits(models.base.target, choices))
            gradients = gradients - self._gradients(models.base, choices, column)
        return [
            Standing((float(lifts[row, label]), float(gradients[row])))
            for row, label in enumerate(labels)
        ]

    def _gradients(self, models: Models, choices: Tensor, labels: Tensor) -> Tensor:
        """Measure how a label's gradient fits its candidate's token vectors: (A,), standardised.

        Training moves the vectors of a secret's tokens along the gradient of its label, so that the
        two have one direction. With initial weights it is what the vectors moved by, and the signs
        of the gradient there, which Adam's first steps follow.
        """
        drawn = self._compared
        asked = torch.cat([choices, drawn.repeat(len(choices), 1)])
        owner = torch.cat([labels, labels.repeat_interleave(COMPARED)])
        try:
            with margin_oracle(models.target, self.problem) as oracle:
                its = pieces(oracle, asked, owner)
            gradient, vectors = its.gradient, its.vectors
            if models.initial is not None:
                with margin_oracle(models.initial, self.problem) as oracle:
                    first = pieces(oracle, asked, owner)
                gradient = first.gradient.sign()
                vectors = vectors - models.kept * first.vectors
        except AttackError:  # a model that cannot be given vectors
            return torch.full((len(labels),), torch.nan)
        weight = its.present / its.present.sum(1, keepdim=True).clamp_min(1)  # (N, W)
        centre = (vectors * weight[:, :, None]).sum((0, 1)) / len(asked)
        product = (gradient * (vectors - centre)).sum(2)  # (N, W)
        if models.initial is None:
            product = product / (gradient.norm(dim=2) * (vectors - centre).norm(dim=2) + _TINY)
        fit = (product * weight).sum(1)
        others = fit[len(choices) :].view(len(choices), COMPARED)
        spread = others.std(1)
        above = (fit[: len(choices)] - others.mean(1)) / spread.clamp_min(_TINY)
        return torch.where(spread > _ROUNDING * fit.abs().max(), above, 0.0)

    @cached_property
    def _rows(self) -> Tensor | None:
        """Evidence (K,) of the rows of all candidates; None where the score ranks alone."""
        rows = self.models.rows
        return None if rows is None else rows.evidence(self.problem, self.choices)

    @cached_property
    def _compared(self) -> Tensor:
        """Random choices (COMPARED, n), the same for all labels."""
        return draw(self.problem.sizes, COMPARED, self.generator)

    def _swaps(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """List choices (M, n) that differ from one of (A, n) in a slot, and from which (M,)."""
        trials, owners = [], []
        for slot, size in enumerate(self.problem.sizes):
            options = torch.randperm(size, generator=self.generator)[:SWAPS]
            rows = torch.arange(len(choices)).repeat_interleave(len(options))
            trial = choices[rows].clone()
            trial[:, slot] = options.repeat(len(choices))
            trials.append(trial)
            owners.append(rows)
        return torch.cat(trials), torch.cat(owners)


def _centred(logits: Tensor) -> Tensor:
    """Subtract the mean of their row from logits (N, L); a single label's stands against zero."""
    return logits - logits.mean(1, keepdim=True) if logits.shape[1] > 1 else logits
