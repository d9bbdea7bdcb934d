"""Attacks that rank candidates by evidence instead of searching for the lowest objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from attacks.attack import Knowledge, Reconstruction, Scored
from attacks.errors import AttackError
from attacks.pool import TOP
from attacks.problem import Completion
from attacks.progress import evaluations_bar
from attacks.ranker.margins import NUMBERED, flat_index
from attacks.ranker.ranker import FIXED, Ranked, Ranker, fixed_ranker, rank


@dataclass(frozen=True)
class RankedAttack:
    """An attack by a ranker, fixed or learned.

    Args:
        name: as results and the command line call it.
        needs: "ranker" where it is fitted on shadow models, "initial" where it uses the weights
            before training.
    """

    name: str
    needs: frozenset[str]
    source = ""
    ranks = True

    @property
    def needs_places(self) -> bool:
        """Whether it compares with the weights before training, slot by slot."""
        return "initial" in self.needs

    @property
    def settings(self) -> dict[str, Any]:
        """The weights of a fixed score; empty for learned ones, whose ranker holds them."""
        return {} if "ranker" in self.needs else dict(FIXED[self.name])

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
        knowledge = knowledge or Knowledge()
        ranker = self._ranker(knowledge)
        initial = knowledge.initial if "initial" in self.needs else None
        with evaluations_bar(self.name, progress):
            return [
                self._reconstruction(
                    problem,
                    rank(
                        ranker,
                        model,
                        problem,
                        initial=initial,
                        seed=seed,
                        known=knowledge.described.setdefault(problem.fingerprint, {}),
                    ),
                )
                for problem in problems
            ]

    def _ranker(self, knowledge: Knowledge) -> Ranker:
        if "ranker" not in self.needs:
            return fixed_ranker(self.name)
        ranker = knowledge.ranker
        if ranker is None:
            raise AttackError(
                f"attack {self.name} needs a ranker: fit one with `modiva ranker fit`, give its "
                "folder with --ranker"
            )
        if ranker.initial != ("initial" in self.needs):
            uses = "uses" if ranker.initial else "does not use"
            raise AttackError(
                f"attack {self.name} was given a ranker that {uses} the weights before training: "
                f"take the attack ranker{'-initial' if ranker.initial else ''}"
            )
        return ranker

    def _reconstruction(self, problem: Completion, ranked: Ranked) -> Reconstruction:
        scores = -ranked.utility
        scored = None
        if problem.size <= NUMBERED:
            scored = Scored(flat_index(ranked.choices, problem.sizes), scores)
        return Reconstruction.of(
            problem,
            self.name,
            self.name,
            ranked.choices[:TOP].tolist(),
            scores[:TOP].tolist(),
            ranked.evaluations,
            ranked.seconds,
            scored,
        )


RANKED_ATTACKS = (
    *(
        RankedAttack(name, frozenset({"initial"} if fixed_ranker(name).initial else ()))
        for name in FIXED
    ),
    RankedAttack("ranker", frozenset({"ranker"})),
    RankedAttack("ranker-initial", frozenset({"ranker", "initial"})),
)
