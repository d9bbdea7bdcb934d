"""An attack: an objective and a search, run on the problems of one model."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from attacks.checkpoint import choose_device
from attacks.objectives import Objective
from attacks.oracle import Oracle
from attacks.problem import WHOLE, Completion, problem_generators
from attacks.search.base import Search

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconstruction:
    """What an attack gives back for one problem.

    Args:
        problem: the problem's name.
        attack: the attack's name.
        objective: the name of the objective that ranks the candidates.
        candidates: distinct secrets, all scored exactly, best first.
        scores: the objective of each; lower is better.
        evaluations: model evaluations spent on this problem; a gradient step is three.
        seconds: its share, by evaluations, of the time of the batch it was attacked in.
    """

    problem: str
    attack: str
    objective: str
    candidates: tuple[tuple[str, ...], ...]
    scores: tuple[float, ...]
    evaluations: int
    seconds: float

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
    ) -> "Reconstruction":
        """List candidates, best first, without those whose text has other tokens than scored.

        Raises:
            AttackError: none is left.
        """
        if problem.size > WHOLE:  # smaller spaces were tokenised whole when they were built
            true = problem.is_text(torch.tensor(choices).view(len(choices), -1)).tolist()
            if not all(true):
                logger.warning(
                    "%d of the %d best candidates are left out: the tokenizer merges their slots, "
                    "so that their text has other tokens than were scored",
                    true.count(False),
                    len(true),
                )
            if not any(true):
                problem.check(torch.tensor(choices).view(len(choices), -1))
            choices = [row for row, its in zip(choices, true, strict=True) if its]
            scores = [score for score, its in zip(scores, true, strict=True) if its]
        return cls(
            problem=problem.name,
            attack=attack,
            objective=objective,
            candidates=tuple(problem.secret(row) for row in choices),
            scores=tuple(scores),
            evaluations=evaluations,
            seconds=seconds,
        )


@dataclass(frozen=True)
class Attack:
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

    @property
    def settings(self) -> dict[str, Any]:
        """The search's settings by name."""
        return asdict(self.search)  # type: ignore[call-overload]

    def run(
        self,
        model: PreTrainedModel,
        problems: Sequence[Completion],
        *,
        seed: int = 0,
        device: str | torch.device | None = None,
        progress: bool = False,
        memory: int | None = None,
    ) -> list[Reconstruction]:
        """Attack all `problems` of one model side by side.

        A result is a function of the model, the problem, this attack and the seed, not of the
        other problems. The model is left as it was.

        Args:
            model: a sequence classifier.
            problems: at least one, built for this model's tokenizer.
            seed: of every random draw.
            device: where to run ("auto", "cpu", "cuda", ...); None stays where the model is.
            progress: show a bar on standard error.
            memory: bound in bytes on the activations of one chunk; None chooses by device.

        Raises:
            AttackError: no problems, no such device, or a space that the search cannot take.
        """
        home = model.device
        if device is not None:
            model.to(choose_device(str(device)))  # type: ignore[arg-type]
        try:
            started = time.perf_counter()
            with Oracle(model, problems, self.objective, memory=memory) as oracle:
                generators = problem_generators(problems, seed)
                rankings = self.search.run(oracle, generators, progress=progress)
            seconds = time.perf_counter() - started
        finally:
            model.to(home)  # type: ignore[arg-type]
        spent = oracle.evaluations
        return [
            Reconstruction.of(
                problem,
                self.name,
                self.objective.name,
                ranking.choices,
                ranking.scores,
                evaluations,
                seconds * evaluations / max(1, sum(spent)),
            )
            for problem, ranking, evaluations in zip(problems, rankings, spent, strict=True)
        ]
