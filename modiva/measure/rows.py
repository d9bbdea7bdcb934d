"""The rows of `rows.csv`: one reconstruction scored against the secret and against its controls."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from modiva.measure.exposure import (
    exposure_from_sample,
    exposure_in_space,
    rank_in_sample,
    rank_in_space,
)
from modiva.measure.matches import (
    exact_match,
    hamming,
    multiset_match,
    position_hits,
    top_k,
)


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
    def evaluations(self) -> int:
        """Number of forward passes spent."""

    @property
    def seconds(self) -> float:
        """Wall time spent."""


@dataclass(frozen=True)
class SpaceScores:
    """Scores (N,) of the whole space, and `index`, which finds a secret in them (Pattern.index)."""

    scores: ArrayLike
    index: Callable[[Sequence[str]], int]

    def place(self, secret: Sequence[str], size: int) -> tuple[int, int, float]:
        """Return the rank in the space, the number ranked, and the exposure in bits."""
        index = self.index(secret)
        return rank_in_space(self.scores, index), size, exposure_in_space(self.scores, index)


@dataclass(frozen=True)
class SampleScores:
    """Scores (n,) of secrets drawn from a space too large to list, and of those in question."""

    references: ArrayLike
    scores: Mapping[tuple[str, ...], float]

    def place(self, secret: Sequence[str], size: int) -> tuple[int, int, float]:
        """Return the rank in the sample, the number ranked, and the exposure, capped at log2 n."""
        score = self.scores[tuple(secret)]
        rank = rank_in_sample(score, self.references)
        ranked = len(np.asarray(self.references)) + 1
        return rank, ranked, exposure_from_sample(score, self.references)


def score_rows(
    reconstruction: Reconstructed,
    secret: Sequence[str],
    controls: Sequence[Sequence[str]],
    base: Mapping[str, Any],
    *,
    slot_sizes: Sequence[int],
    scores: SpaceScores | SampleScores | None = None,
) -> list[dict[str, Any]]:
    """Score a reconstruction against the canary's secret (first row) and every control.

    Args:
        reconstruction: the attack's result, candidates ranked best first.
        secret: the canary's secret, one word a slot.
        controls: secrets of the same space that were drawn with it and never planted.
        base: the columns that say what was attacked; `repetitions` (0 = not planted) is needed.
        slot_sizes: number of options of every slot; their product is the space.
        scores: of the whole space or of a sample, by the score that this attack ranks by. A
            search that scores only what it visits has none: rank and exposure then stay empty.
    """
    size = math.prod(slot_sizes)
    best = tuple(reconstruction.candidates[0])
    common = {
        "attack": reconstruction.attack,
        "objective": reconstruction.objective,
        **base,
        "evaluations": int(reconstruction.evaluations),
        "seconds": float(reconstruction.seconds),
        "reconstruction": " ".join(best),
        "space_size": size,
        "slot_sizes": " ".join(map(str, slot_sizes)),
    }
    rows = []
    for number, target in enumerate((secret, *controls)):
        hits = position_hits(best, target)
        rank, ranked, bits = scores.place(target, size) if scores else (None, None, None)
        rows.append(
            {
                **common,
                "planted": int(number == 0 and base["repetitions"] >= 1),
                "control": number,  # 0 is the canary's own secret, also where R = 0
                "secret": " ".join(target),
                "exact": int(exact_match(best, target)),
                "hamming": hamming(best, target),
                "position_accuracy": sum(hits) / len(hits),
                "position_hits": "".join("1" if hit else "0" for hit in hits),
                "multiset": int(multiset_match(best, target)),
                "top10": int(top_k(reconstruction.candidates, target, 10)),
                "rank": rank,
                "ranked": ranked,
                "exposure": bits,
            }
        )
    return rows
