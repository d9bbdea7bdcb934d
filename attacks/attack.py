"""What an attack is: one protocol for searches, recipes, fixed scores and learned rankers."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.objectives import Objective
from attacks.oracle import Oracle
from attacks.pool import Ranking
from attacks.problem import Completion, problem_generators
from attacks.search.base import Search
from attacks.texts import WHOLE

if TYPE_CHECKING:
    from attacks.ranker.candidates import Described
    from attacks.ranker.ranker import Ranker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Scored:
    """The candidates that an attack compared by one score, for ranks and exposure.

    Args:
        numbers: (K,) of distinct candidates, in mixed radix with the last slot fastest: the order
            of `Pattern.index`.
        scores: (K,) of each; lower is better. Candidates that are not among them are worse.
    """

    numbers: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Reconstruction:
    """The result of an attack on one problem.

    Args:
        problem: the problem's name.
        attack: the attack's name.
        objective: what ranks the candidates, by name: an objective, or the attack's own score.
        candidates: distinct secrets, all scored exactly, best first.
        scores: of each; lower is better.
        evaluations: model evaluations spent on this problem; a gradient step is three.
        seconds: share, by evaluations, of the time of the batch that it was attacked in.
        scored: all candidates compared, for attacks that rank a space; None for those that search.
    """

    problem: str
    attack: str
    objective: str
    candidates: tuple[tuple[str, ...], ...]
    scores: tuple[float, ...]
    evaluations: int
    seconds: float
    scored: Scored | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        problem: Completion,
        attack: str,
        objective: str,
        choices: Sequence[Sequence[int]],
        scores: Sequence[float],
        evaluations: int,
        seconds: float,
        scored: Scored | None = None,
    ) -> "Reconstruction":
        """List candidates, best first, without those whose text has other tokens than scored.

        Raises:
            AttackError: none is left.
        """
        if problem.size > WHOLE:  # smaller spaces were tokenised whole when they were built
            rows = torch.tensor(choices).view(len(choices), -1)
            true = problem.is_text(rows).tolist()
            if not all(true):
                logger.warning(
                    "%d of the %d best candidates are left out: the tokenizer merges their slots, "
                    "so that their text has other tokens than were scored",
                    true.count(False),
                    len(true),
                )
            if not any(true):
                problem.check(rows)
            choices = [row for row, is_text in zip(choices, true, strict=True) if is_text]
            scores = [score for score, is_text in zip(scores, true, strict=True) if is_text]
        return cls(
            problem=problem.name,
            attack=attack,
            objective=objective,
            candidates=tuple(problem.secret(row) for row in choices),
            scores=tuple(scores),
            evaluations=evaluations,
            seconds=seconds,
            scored=scored,
        )


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What an attacker has beside the model, the tokenizer and the questions.

    Args:
        initial: the model before training.
        ranker: fitted on shadow models of the target's architecture.
        described: what attacks on one model make of a problem, by the problem's fingerprint: kept
            between them, so that no feature is computed twice.
    """

    initial: PreTrainedModel | None = None
    ranker: "Ranker | None" = None
    described: "dict[str, dict[tuple[bool, int], Described]]" = field(default_factory=dict)


class Attack(Protocol):
    """Takes secrets out of a model; searches, recipes, fixed scores and rankers alike."""

    @property
    def name(self) -> str:
        """As results and the command line call it."""

    @property
    def source(self) -> str:
        """The paper and what it reports; empty for attacks of our own."""

    @property
    def needs_places(self) -> bool:
        """Whether it takes slots only that have tokens of their own in the sentence."""

    @property
    def ranks(self) -> bool:
        """Whether it compares candidates by one score, which adds up over rounds of training."""

    @property
    def needs(self) -> frozenset[str]:
        """The fields of `Knowledge` that the attack requires: "initial", "ranker"."""

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides the result, beside the name."""

    def run(
        self,
        model: PreTrainedModel,
        problems: Sequence[Completion],
        *,
        knowledge: Knowledge | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> list[Reconstruction]:
        """Attack all `problems` of one model, which is left as it was.

        A result is a function of the model, the problem, this attack, what it needs of `knowledge`
        and the seed, not of the other problems.

        Args:
            model: a sequence classifier.
            problems: at least one, built for this model's tokenizer.
            knowledge: what the attacker has; what the attack does not need is not used.
            seed: of every random draw.
            progress: show a bar on standard error.

        Raises:
            AttackError: no problems, a space that the attack cannot take, or a need that is missing
                or not of this model.
        """


@dataclass(frozen=True)
class SearchAttack:
    """A named pair of objective and search.

    Args:
        name: as results and the command line call it.
        objective: what is minimised.
        search: how.
        source: the paper it comes from and what it reports; empty for our own.
    """

    name: str
    objective: Objective
    search: Search
    source: str = ""
    needs = frozenset[str]()

    @property
    def needs_places(self) -> bool:
        """Whether its search mixes options or follows gradients."""
        return getattr(self.search, "needs_places", False)

    @property
    def ranks(self) -> bool:
        """Whether its search looks at the whole space."""
        return getattr(self.search, "ranks", False)

    @property
    def settings(self) -> dict[str, Any]:
        """The objective's name and the search's settings."""
        return {"objective": self.objective.name, **asdict(self.search)}

    def run(
        self,
        model: PreTrainedModel,
        problems: Sequence[Completion],
        *,
        knowledge: Knowledge | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> list[Reconstruction]:
        """Attack all `problems` of one model side by side; see `Attack.run`."""
        started = time.perf_counter()
        with Oracle(model, problems, self.objective) as oracle:
            generators = problem_generators(problems, seed)
            rankings = self.search.run(oracle, generators, progress=progress)
        seconds = time.perf_counter() - started
        spent = oracle.evaluations
        return [
            self._reconstruction(problem, ranking, evaluations, seconds / max(1, sum(spent)))
            for problem, ranking, evaluations in zip(problems, rankings, spent, strict=True)
        ]

    def _reconstruction(
        self, problem: Completion, ranking: Ranking, evaluations: int, seconds: float
    ) -> Reconstruction:
        every = ranking.every
        return Reconstruction.of(
            problem,
            self.name,
            self.objective.name,
            ranking.choices,
            ranking.scores,
            evaluations,
            seconds * evaluations,
            None if every is None else Scored(torch.arange(len(every)), every),
        )
