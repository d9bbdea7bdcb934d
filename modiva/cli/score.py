"""`modiva score`: compare what an attack reconstructed with what was planted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from canaries import Ledger
from modiva.errors import ModivaError
from modiva.measure import hamming, multiset_match


@dataclass(frozen=True)
class Score:
    """Score the output of `modiva attack --json` against the ledger of `modiva train`.

    The only command that opens a ledger: attacks never see one.
    """

    reconstruction: Positional[Path]
    """A file that `modiva attack --json` printed."""
    ledger: Positional[Path]
    """The OUT.ledger.json of `modiva train`."""

    def run(self) -> int:
        """Print exact match, Hamming distance and place among the candidates, with the controls."""
        found = _read(self.reconstruction)
        ledger = Ledger.load(self.ledger)
        guesses = [tuple(candidate["secret"]) for candidate in found["candidates"]]
        if not guesses:
            raise ModivaError(f"{self.reconstruction} holds no candidates: run the attack again")
        sentences = [candidate["text"] for candidate in found["candidates"]]
        matching = [
            canary for canary in ledger.canaries if canary.pattern_object.match(sentences[0])
        ]
        if not matching:
            raise ModivaError(
                f"no canary of {self.ledger} has the form of {sentences[0]!r}: attack the prefix "
                f"and slots of one of: {', '.join(c.template for c in ledger.canaries)}"
            )
        for canary in matching:
            print(f"{canary.id}: planted {canary.repetitions} times as {canary.label}")
            _print("planted", tuple(canary.secret), guesses)
            for control in canary.controls:
                _print("control", tuple(control), guesses)
        return 0


def _print(kind: str, secret: tuple[str, ...], guesses: list[tuple[str, ...]]) -> None:
    place = str(guesses.index(secret) + 1) if secret in guesses else f"not in first {len(guesses)}"
    best = guesses[0]
    print(
        f"  {kind}  {' '.join(secret):24}  best guess {' '.join(best):24}  "
        f"{'EXACT' if best == secret else 'wrong'}  hamming {hamming(best, secret)}  "
        f"multiset {'yes' if multiset_match(best, secret) else 'no'}  place {place}"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModivaError(f"{path} is not the output of modiva attack --json: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("candidates"), list):
        raise ModivaError(f"{path} has no list of candidates: give the output of attack --json")
    return found
