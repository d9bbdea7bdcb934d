"""The rows of `rows.csv`: one reconstruction scored against the secret and against its controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canaries import Canary, Pattern
from modiva.measure.columns import ModelColumns, Row
from modiva.measure.exposure import exposure_in_space, rank_in_space
from modiva.measure.matches import (
    copies_intact,
    exact_match,
    hamming,
    multiset_match,
    position_hits,
    top_k,
)

# Spaces up to this size are ranked whole; what an attack has not looked at stands behind.
ENUMERATED = 50_000


class Compared(Protocol):
    """The candidates that an attack compared: their numbers (K,) and their scores (K,)."""

    @property
    def numbers(self) -> ArrayLike:
        """Places in the space, as `Pattern.index` counts them."""

    @property
    def scores(self) -> ArrayLike:
        """Lower is better."""


class Reconstructed(Protocol):
    """What scoring needs of an attack's reconstruction."""

    @property
    def attack(self) -> str:
        """Name of the attack."""

    @property
    def objective(self) -> str:
        """Name of the score that ranks its candidates."""

    @property
    def candidates(self) -> Sequence[Sequence[str]]:
        """Ranked best first."""

    @property
    def scored(self) -> Compared | None:
        """All that it compared by one score; None for a search, which then has no rank."""

    @property
    def evaluations(self) -> int:
        """Number of forward passes spent."""

    @property
    def seconds(self) -> float:
        """Wall time spent."""


@dataclass(frozen=True)
class Claims:
    """What a private training guarantees of a secret, all its repetitions together.

    Args:
        group_epsilon: None without a finite bound.
        exact_bound: probability that any attack names it, at most.
        top10_bound: probability that it is among the first ten of any attack, at most.
        exposure_bound: mean exposure in bits under any attack, at most.
        secret_epsilon: of one rewritten copy, whatever is trained on it.
        secret_group_epsilon: of all rewritten copies.
    """

    group_epsilon: float | None = None
    exact_bound: float | None = None
    top10_bound: float | None = None
    exposure_bound: float | None = None
    secret_epsilon: float | None = None
    secret_group_epsilon: float | None = None


def score_rows(
    reconstruction: Reconstructed,
    canary: Canary,
    model: ModelColumns,
    claims: Claims | None = None,
    decoded: Sequence[str] | None = None,
) -> list[Row]:
    """Score a reconstruction against the canary's secret (first row) and every control.

    Args:
        reconstruction: the attack's result, candidates ranked best first.
        canary: what was planted, with its controls.
        model: the columns of the attacked model.
        claims: what the training guarantees of the canary; None without privacy.
        decoded: the secret that its rewritten copies name; None without text protection.
    """
    pattern = canary.form
    best = tuple(reconstruction.candidates[0])
    scores = space_scores(reconstruction.scored, pattern)
    rows = []
    for number, secret in enumerate((canary.secret, *canary.controls)):
        hits = position_hits(best, secret)
        index = pattern.index(secret)
        rows.append(
            Row(
                **{name: getattr(model, name) for name in ModelColumns.__dataclass_fields__},
                **vars(claims or Claims()),
                pattern=canary.pattern.partition(":")[0],
                length=pattern.length,
                repetitions=canary.repetitions,
                canary=canary.id,
                label=canary.label,
                attack=reconstruction.attack,
                objective=reconstruction.objective,
                planted=int(number == 0 and canary.repetitions >= 1),
                control=number,  # 0 is the canary's own secret, also where R = 0
                exact=int(exact_match(best, secret)),
                hamming=hamming(best, secret),
                rank=None if scores is None else rank_in_space(scores, index),
                ranked=None if scores is None else pattern.size,
                exposure=None if scores is None else exposure_in_space(scores, index),
                position_accuracy=sum(hits) / len(hits),
                position_hits="".join("1" if hit else "0" for hit in hits),
                multiset=int(multiset_match(best, secret)),
                top10=int(top_k(reconstruction.candidates, secret, 10)),
                copies_intact=copies_intact(canary, secret),
                decoded=None if decoded is None else int(exact_match(decoded, secret)),
                secret=" ".join(secret),
                reconstruction=" ".join(best),
                space_size=pattern.size,
                slot_sizes=" ".join(str(len(slot)) for slot in pattern.slots),
                evaluations=int(reconstruction.evaluations),
                seconds=float(reconstruction.seconds),
            )
        )
    return rows


def space_scores(scored: Compared | None, pattern: Pattern) -> NDArray[np.float64] | None:
    """Return scores (N,) of the whole space; what the attack did not look at is last, tied.

    None where it compared nothing, or a part of a space that is too large to list.
    """
    if scored is None:
        return None
    numbers = np.asarray(scored.numbers)
    if pattern.size > max(ENUMERATED, len(numbers)):
        return None
    every = np.full(pattern.size, np.inf)
    every[numbers] = np.asarray(scored.scores)
    return every
