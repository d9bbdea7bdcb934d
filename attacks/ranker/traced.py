"""The loss joined with the rows of a candidate's tokens in the embedding table.

Rows that training did not meet keep the lengths of the random vectors that they began as. Training
on a sentence moves the rows of its tokens, and those of one sentence alike, so that the sum of the
secret's rows is longer than the sum of as many random vectors. This needs neither the weights
before training nor another model, but a table that began at random and is mostly untouched.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.attack import Knowledge, Reconstruction, Scored
from attacks.errors import AttackError
from attacks.pool import TOP
from attacks.problem import Completion
from attacks.progress import evaluations_bar
from attacks.ranker.margins import margin_oracle
from attacks.ranker.movement import check_initial, decay
from attacks.ranker.pieces import shared
from attacks.search.exhaustive import check_enumerable, enumerate_scores, unravel
from attacks.vectors import vocabulary_vectors

logger = logging.getLogger(__name__)

# Spread of the lengths of untouched rows, in parts of that of normal vectors. Measured: 1.04 to
# 1.06 after training from scratch, 4.7 for the table of a public MiniLM.
SPREAD = (0.75, 1.25)
_ROWS = 2**11  # candidates whose rows are summed at once
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of the embedding table, or what they moved by where the first weights are known.

    Args:
        vectors: (V, D).
        moved: whether they are movements.
    """

    vectors: Tensor
    moved: bool

    @classmethod
    def of(cls, model: PreTrainedModel, initial: PreTrainedModel | None = None) -> "Rows | None":
        """Return the rows of a model; None where they do not tell which tokens training met."""
        try:
            vectors = vocabulary_vectors(model).cpu()
            if initial is not None:
                before = vocabulary_vectors(initial).cpu()
                return cls(vectors - decay(model, initial) * before, True)
        except AttackError:
            return None
        rows = cls(vectors, False)
        return rows if len(vectors) and rows._untouched else None

    @property
    def _untouched(self) -> bool:
        """Whether most rows have the lengths of normal vectors."""
        lengths = self.vectors.norm(dim=1)
        middle = lengths.median()
        deviation = 1.4826 * (lengths - middle).abs().median()
        spread = float(deviation / middle.clamp_min(_TINY)) * math.sqrt(2 * self.vectors.shape[1])
        return SPREAD[0] < spread < SPREAD[1]

    @cached_property
    def _variance(self) -> float:
        """Variance of a component of an untouched row."""
        width = self.vectors.shape[1]
        median = width * (1 - 2 / (9 * width)) ** 3  # of the chi-squared distribution
        return float(self.vectors.square().sum(1).median()) / median

    def evidence(self, problem: Completion, choices: Tensor) -> Tensor:
        """Compute -log p (K,) that training did not meet the tokens of choices (K, n) together.

        The squared length of the sum of k untouched rows is chi-squared; p is corrected for the
        size of the space, so that rows that did not move far count nothing. Movements have no such
        null: there p is the share of choices whose rows moved as far, on average of logarithms.
        """
        found = torch.cat([self._statistic(problem, part) for part in choices.split(_ROWS)])
        if self.moved:
            return -shares(found[None])[0].double().log()
        return (found - math.log(problem.size)).clamp_min(0)

    def _statistic(self, problem: Completion, choices: Tensor) -> Tensor:
        """Compute -log p (K,) of each choice alone, or how far its rows moved."""
        ids = distinct_tokens(problem, choices)  # (K, T)
        there = (ids >= 0)[:, :, None]  # (K, T, 1)
        count = there.sum(1).clamp_min(1)[:, 0].double()  # (K,)
        rows = self.vectors[ids.clamp_min(0)] * there  # (K, T, D)
        if self.moved:
            far = (rows.norm(dim=2) + _TINY).log() * there[:, :, 0]
            mean: Tensor = far.sum(1) / count
            return mean
        width = rows.shape[2]
        ratio = rows.sum(1).double().square().sum(1) / (count * width * self._variance)
        spread = 2 / (9 * width)
        normal = (ratio ** (1 / 3) - (1 - spread)) / math.sqrt(spread)  # Wilson and Hilferty 1931
        tail: Tensor = torch.special.log_ndtr(-normal)
        return -tail


@dataclass(frozen=True)
class Traced:
    """Ranks a space by loss and rows: the log of the share of candidates with as low a loss, plus
    the log p-value of the sum of its rows (Fisher 1932); lower is likelier.

    Without rows that tell which tokens training met, the loss alone ranks, and a warning says so.

    Args:
        name: as results and the command line call it.
        needs: "initial" where rows are compared with those before training.
    """

    name: str
    needs: frozenset[str]
    source = ""
    needs_places = False
    ranks = True

    @property
    def settings(self) -> dict[str, float]:
        """None: both kinds of evidence weigh the same."""
        return {}

    def run(
        self,
        model: PreTrainedModel,
        problems: Sequence[Completion],
        *,
        knowledge: Knowledge | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> list[Reconstruction]:
        """Rank the candidates of every problem of one model; see `Attack.run`."""
        for problem in problems:
            check_enumerable(problem.size)
        initial = knowledge.initial if knowledge and "initial" in self.needs else None
        if initial is not None:
            check_initial(model, initial)
        elif self.needs:
            raise AttackError(
                f"attack {self.name} needs the weights before training: give them by --initial"
            )
        rows = Rows.of(model, initial)
        if rows is None:
            logger.warning(
                "%s ranks by the loss alone: the rows of this model's embedding table do not tell "
                "which tokens training met",
                self.name,
            )
        with evaluations_bar(self.name, progress):
            return [self._ranked(model, problem, rows) for problem in problems]

    def _ranked(
        self, model: PreTrainedModel, problem: Completion, rows: Rows | None
    ) -> Reconstruction:
        started = time.perf_counter()
        with margin_oracle(model, problem) as oracle:
            losses = torch.cat([scores for _, scores in enumerate_scores(oracle, 0)])
            evaluations = oracle.evaluations[0]
        numbers = torch.arange(problem.size)
        margins = -losses.nan_to_num(nan=torch.inf).cpu()
        scores = -joined(margins[None], None if rows is None else rows.evidence(
            problem, unravel(numbers, problem.sizes)))[0]  # fmt: skip
        best = scores.sort(stable=True).indices[:TOP]
        return Reconstruction.of(
            problem,
            self.name,
            self.name if rows is not None else "loss",
            unravel(best, problem.sizes).tolist(),
            scores[best].tolist(),
            evaluations,
            time.perf_counter() - started,
            Scored(numbers, scores),
        )


TRACED_ATTACKS = (
    Traced("traced", frozenset()),
    Traced("traced-initial", frozenset({"initial"})),
)


def joined(margins: Tensor, evidence: Tensor | None) -> Tensor:
    """Join margins (A, K) with the evidence of rows (K,): (A, K), higher is likelier."""
    found = -shares(margins).double().log()
    return found if evidence is None else found + evidence


def shares(values: Tensor) -> Tensor:
    """Compute the share of each row of values (A, K) that is as high or higher, float32."""
    ordered = values.sort(1).values.contiguous()
    below = torch.searchsorted(ordered, values.contiguous())
    return 1 - below.float() / values.shape[1]


def distinct_tokens(problem: Completion, choices: Tensor) -> Tensor:
    """Return token ids (K, T) of choices that are not the same in all of the space, each once.

    Places that hold no such token are -1.
    """
    tokens = problem.texts.tokens(choices)
    start, end = shared(problem.texts)
    ids = tokens.inputs["input_ids"].long()
    own = torch.arange(ids.shape[1]) < (tokens.lengths - end)[:, None]
    own[:, :start] = False
    ids = ids.masked_fill(~own, -1).sort(1).values
    again = torch.zeros_like(own)
    again[:, 1:] = ids[:, 1:] == ids[:, :-1]
    return ids.masked_fill(again, -1)
