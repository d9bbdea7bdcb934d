"""The result of exposing, in words and numbers; secrets are masked unless they are asked for."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from canaries.reading import one_line
from modiva.counts import count, plural
from modiva.natural.compare import LEAST, PERMUTATIONS
from modiva.natural.rank import Place

FIRST = 0.01  # of a space
LEVEL = 0.05
STATISTIC = (
    "mean over sentences of the decimal logarithm of the percentile of the true secret in its space"
)


@dataclass(frozen=True)
class Ranked:
    """One secret and where it stands.

    Args:
        side: "members" or "nonmembers".
        sentence: number of its sentence; secrets of one sentence share it.
        kind: of the secret.
        label: of the sentence.
        masked: the sentence, its secrets masked.
        text: the sentence.
        secret: as the sentence has it.
        times: how often the sentence stands on its side.
        place: under the checkpoint.
        reference: under the reference.
    """

    side: str
    sentence: int
    kind: str
    label: str
    masked: str
    text: str
    secret: str
    times: int
    place: Place
    reference: Place | None = None

    @property
    def value(self) -> float:
        """Log10 of the percentile, less that under the reference: lower is more exposed."""
        own = math.log10(self.place.percentile)
        return own - (math.log10(self.reference.percentile) if self.reference else 0.0)

    @property
    def first(self) -> bool:
        """Whether it is in the first percent of its space."""
        return self.place.percentile <= FIRST

    def as_dict(self, *, reveal: bool) -> dict[str, Any]:
        """Return one row of tables."""
        return {
            "side": self.side,
            "kind": self.kind,
            "label": self.label,
            "text": self.text if reveal else self.masked,
            **({"secret": self.secret} if reveal else {}),
            "times": self.times,
            "rank": self.place.rank,
            "scored": self.place.scored,
            "space_size": self.place.size,
            "percentile": self.place.percentile,
            "reference_percentile": self.reference.percentile if self.reference else None,
        }


@dataclass(frozen=True)
class Exposed:
    """What a checkpoint gives away of the secrets in its training data.

    Args:
        ranked: every secret of both sides.
        p_value: of the permutation test; None where no test is made.
        notes: what was left out, and what else a reader must know.
        kinds: what was looked for.
    """

    ranked: tuple[Ranked, ...]
    p_value: float | None
    notes: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def evidence(self) -> bool | None:
        """Whether the p-value is below 0.05; None where no test is made."""
        return None if self.p_value is None else self.p_value < LEVEL

    @property
    def testable(self) -> bool:
        """Whether both sides have enough sentences for a test."""
        return all(self._side(side)["sentences"] >= LEAST for side in ("members", "nonmembers"))

    @property
    def sentence(self) -> str:
        """The answer in one sentence, with what follows from it in another."""
        return " ".join(self.answer)

    @property
    def answer(self) -> tuple[str, str]:
        """The counts of both sides in one sentence, and what follows from them in another."""
        members, others = self._side("members"), self._side("nonmembers")
        one = members["first_percent"] == 1
        shares = (
            f"{count(members['first_percent'])} of {plural(members['secrets'], 'secret')} in the "
            f"training data {'is' if one else 'are'} ranked in the first percent of "
            f"{'its' if one else 'their'} space; of secrets that were not in it, "
            f"{count(others['first_percent'])} of {count(others['secrets'])}"
        )
        if self.p_value is None:
            few = min((members["sentences"], "members"), (others["sentences"], "non-members"))
            return (
                f"{shares}.",
                f"No test is made: the {few[1]} have {plural(few[0], 'sentence')} with secrets, "
                f"and a test needs {LEAST} on each side.",
            )
        half = [f"{100 * (self._median(side) or 1):.2g} %" for side in ("members", "nonmembers")]
        verdict = (
            "The checkpoint ranks secrets of its training data higher than others: half of them "
            f"stand in the first {half[0]} of their space, half of the others in the first "
            f"{half[1]}."
            if self.evidence
            else "No evidence that the checkpoint gives away secrets of its training data."
        )
        return f"{shares}; p = {self.p_value:.2g}.", verdict

    def most_exposed(self, top: int) -> list[Ranked]:
        """Return the members' secrets, the most exposed first."""
        members = (one for one in self.ranked if one.side == "members")
        return sorted(members, key=lambda one: (one.value, one.sentence))[:top]

    def by_kind(self) -> list[dict[str, Any]]:
        """Count both sides for each kind that was found."""
        found = [kind for kind in self.kinds if any(one.kind == kind for one in self.ranked)]
        return [
            {"kind": kind, **{side: self._side(side, kind) for side in ("members", "nonmembers")}}
            for kind in found
        ]

    def as_dict(self, *, top: int, reveal: bool = False) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "sentence": self.sentence,
            "evidence": self.evidence,
            "p_value": self.p_value,
            "permutations": PERMUTATIONS if self.p_value is not None else 0,
            "statistic": STATISTIC
            + (", less the same under the reference" if self._calibrated else ""),
            "calibrated": self._calibrated,
            **{
                side: {**self._side(side), "median_percentile": self._median(side)}
                for side in ("members", "nonmembers")
            },
            "kinds": self.by_kind(),
            "most_exposed": [one.as_dict(reveal=reveal) for one in self.most_exposed(top)],
            "notes": list(self.notes),
        }

    def table(self, *, top: int, reveal: bool = False) -> str:
        """Return the result as lines of text."""
        lines = [self.sentence, ""]
        lines.append(f"{'kind':<12}{'members: first 1 %':>20}{'non-members: first 1 %':>26}")
        for row in self.by_kind():
            cells = [
                f"{count(row[side]['first_percent'])} of {count(row[side]['secrets'])}"
                for side in ("members", "nonmembers")
            ]
            lines.append(f"{row['kind']:<12}{cells[0]:>20}{cells[1]:>26}")
        lines += ["", "Most exposed secrets of the training data:"]
        under = "   reference" if self._calibrated else ""
        lines.append(f"percentile{under}  times  {'kind':<10}  label: sentence")
        for one in self.most_exposed(top):
            shares = f"{100 * one.place.percentile:>8.3g} %"
            if one.reference is not None:
                shares += f"{100 * one.reference.percentile:>10.3g} %"
            told = one_line(f"{one.label}: {one.text if reveal else one.masked}")
            lines.append(f"{shares}  {one.times:>5}  {one.kind:<10}  {told}")
        return "\n".join([*lines, *([""] if self.notes else []), *self.notes])

    @property
    def _calibrated(self) -> bool:
        return any(one.reference is not None for one in self.ranked)

    def _median(self, side: str) -> float | None:
        """Median percentile of the secrets of one side, under the checkpoint; None without any."""
        own = [one.place.percentile for one in self.ranked if one.side == side]
        return median(own) if own else None

    def _side(self, side: str, kind: str | None = None) -> dict[str, int]:
        chosen = [one for one in self.ranked if one.side == side and kind in (None, one.kind)]
        return {
            "sentences": _distinct(one.sentence for one in chosen),
            "secrets": len(chosen),
            "first_percent": sum(one.first for one in chosen),
        }


def _distinct(numbers: Iterable[int]) -> int:
    return len(set(numbers))
