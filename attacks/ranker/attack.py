"""Attacks that rank candidates by evidence instead of searching for the lowest objective."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.problem import Completion
from attacks.ranker.candidates import Described
from attacks.ranker.fixed import FIXED, fixed_ranker
from attacks.ranker.ranker import Ranked, Ranker, rank


@dataclass(frozen=True)
class RankedAttack:
    """An attack by a ranker, fixed or learned.

    Args:
        name: as results and the command line call it.
        learned: it needs a ranker fitted on shadow models; else its weights are fixed.
        initial: it needs the weights before training.
    """

    name: str
    learned: bool
    initial: bool

    def run(
        self,
        model: PreTrainedModel,
        problems: Sequence[Completion],
        *,
        ranker: Ranker | None = None,
        initial: PreTrainedModel | None = None,
        seed: int = 0,
        known: Sequence[dict[bool, Described]] | None = None,
    ) -> list[Ranked]:
        """Rank the candidates of every problem of one model, which is left as it was.

        Args:
            model: a sequence classifier.
            problems: built for this model's tokenizer.
            ranker: for an attack that is learned.
            initial: the model before training, for an attack that needs it.
            seed: of every random draw.
            known: a dict a problem, kept between the attacks on one model (see `rank`).

        Raises:
            AttackError: what the attack needs is missing or not of this model.
        """
        if not self.learned:
            ranker = fixed_ranker(self.name)
        if ranker is None:
            raise AttackError(
                f"attack {self.name} needs a ranker: fit one with `modiva ranker fit`, give its "
                "folder with --ranker"
            )
        if ranker.initial != self.initial:
            knows = "uses" if ranker.initial else "does not use"
            raise AttackError(
                f"attack {self.name} was given a ranker that {knows} the weights before training: "
                f"take the attack ranker{'-initial' if ranker.initial else ''}"
            )
        known = known or [{} for _ in problems]
        return [
            rank(ranker, model, one, initial=initial, seed=seed, known=its)
            for one, its in zip(problems, known, strict=True)
        ]


RANKED: Mapping[str, RankedAttack] = MappingProxyType(
    {
        **{name: RankedAttack(name, False, fixed_ranker(name).initial) for name in FIXED},
        "ranker": RankedAttack("ranker", True, False),
        "ranker-initial": RankedAttack("ranker-initial", True, True),
    }
)
