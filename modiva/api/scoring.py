"""What attacks found, beside what was planted and what never was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attacks.errors import AttackError
from attacks.extraction import Extraction
from canaries import Canary, Ledger
from modiva.api.results import Result
from modiva.counts import plural
from modiva.errors import ModivaError
from modiva.measure import exposure, matches

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("canary", "secret", "planted", "repetitions", "attack", "found", "exact", "hamming",
            "place", "rank", "space_size", "exposure")  # fmt: skip


@dataclass(frozen=True, repr=False)
class Scores(Result):
    """Secrets and controls, each scored against each attack on its sentence.

    Args:
        rows: one per secret or control and attack.
    """

    rows: tuple[dict[str, Any], ...]

    def summary(self) -> str:
        """Return how many secrets came back, and how many of the controls did."""
        planted = [row for row in self.rows if row["planted"]]
        controls = [row for row in self.rows if not row["planted"]]
        lines = [
            f"{sum(row['exact'] for row in planted)} of {plural(len(planted), 'planted secret')} "
            f"came back as the first candidate; of {plural(len(controls), 'control')}, "
            f"{sum(row['exact'] for row in controls)}."
        ]
        ranked = [[row for row in side if row["rank"]] for side in (planted, controls)]
        if all(ranked):
            best = min(ranked[0], key=lambda row: float(row["rank"]))
            means = [float(np.mean([row["exposure"] for row in side])) for side in ranked]
            lines += [
                f"The best rank of a secret is {best['rank']:,} of {best['space_size']:,}.",
                f"Mean exposure: {means[0]:.1f} bits of secrets, {means[1]:.1f} of controls; a "
                "secret that was never seen has 1.4 on average.",
            ]
        return "\n".join(lines)

    def frame(self) -> "pd.DataFrame":
        """Return one row per secret or control; rank and exposure where the space was scored."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=_COLUMNS).astype({"rank": "Int64", "place": "Int64"})


def scores(ledger: Ledger, found: Sequence[Extraction]) -> Scores:
    """Score each attack against the canaries of its sentence.

    Raises:
        ModivaError: no attack, or one on a sentence that has none of the planted forms.
    """
    if not found:
        raise ModivaError("nothing to score: give what `modiva.attack` returned")
    rows: list[dict[str, Any]] = []
    for one in found:
        text = one.problem.text(one.found.candidates[0])
        asked = [canary for canary in ledger.canaries if canary.form.match(text)]
        if not asked:
            known = ", ".join(dict.fromkeys(repr(canary.template) for canary in ledger.canaries))
            raise ModivaError(f"no planted secret has the form of {text!r}: attack one of {known}")
        for canary in asked:
            rows += _rows(canary, one)
    return Scores(tuple(rows))


def _rows(canary: Canary, one: Extraction) -> Iterator[dict[str, Any]]:
    candidates = one.found.candidates
    for secret in (canary.secret, *canary.controls):
        rank, bits = _place(one, secret)
        planted = secret == canary.secret and canary.repetitions > 0
        yield {
            "canary": canary.id,
            "secret": " ".join(secret),
            "planted": planted,
            "repetitions": canary.repetitions if planted else 0,
            "attack": one.found.attack,
            "found": " ".join(candidates[0]),
            "exact": matches.exact_match(candidates[0], secret),
            "hamming": matches.hamming(candidates[0], secret),
            "place": candidates.index(secret) + 1 if secret in candidates else None,
            "rank": rank,
            "space_size": one.problem.size,
            "exposure": bits,
        }


def _place(one: Extraction, secret: tuple[str, ...]) -> tuple[int | None, float | None]:
    """Return rank and exposure of a secret where the attack scored the space, else None."""
    scored = one.found.scored
    if scored is None or len(scored.numbers) < one.problem.size:
        return None, None
    try:
        index = int(np.ravel_multi_index(one.problem.choices(secret), one.problem.sizes))
    except AttackError:  # the target's tokenizer lacks one of its options
        return None, None
    values = np.empty(one.problem.size)
    values[scored.numbers.numpy()] = scored.scores.numpy()
    return exposure.rank_in_space(values, index), exposure.exposure_in_space(values, index)
