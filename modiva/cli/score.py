"""`modiva score`: compare what an attack reconstructed with what was planted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from canaries import Ledger
from modiva.errors import ModivaError
from modiva.measure import hamming, multiset_match

Secret = tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """Score the output of `modiva attack --json`, against a ledger or a secret that you know.

    The only command that opens a ledger: attacks never see one.
    """

    reconstruction: Positional[Path]
    """A file with what `modiva attack --json` printed."""
    ledger: Path | None = None
    """The OUT.ledger.json of `modiva train`."""
    secret: str | None = None
    """The words of a secret that you know, such as "1 2 3 4"."""

    def run(self) -> int:
        """Print exact match, Hamming distance and place among the candidates, with the controls."""
        if (self.ledger is None) == (self.secret is None):
            raise ModivaError("give one of --ledger FILE and --secret 'WORD WORD ...'")
        sentences, guesses = _read(self.reconstruction)
        if self.secret is not None:
            known = tuple(self.secret.split())
            if len(known) != len(guesses[0]):
                raise ModivaError(
                    f"--secret {self.secret!r} has {len(known)} words, and the reconstruction has "
                    f"{len(guesses[0])}: give one word a slot"
                )
            print(_line("secret ", known, guesses))
            return 0
        assert self.ledger is not None
        ledger = Ledger.load(self.ledger)
        matching = [canary for canary in ledger.canaries if canary.form.match(sentences[0])]
        if not matching:
            raise ModivaError(
                f"no canary of {self.ledger} has the form of {sentences[0]!r}: attack the prefix "
                f"and slots of one of: {', '.join(canary.template for canary in ledger.canaries)}"
            )
        for canary in matching:
            print(f"{canary.id}: stood {canary.repetitions} times in training as {canary.label}")
            print(_line("planted", canary.secret, guesses))
            for control in canary.controls:
                print(_line("control", control, guesses))
        return 0


def _line(kind: str, secret: Secret, guesses: list[Secret]) -> str:
    best = guesses[0]
    place = f"{guesses.index(secret) + 1}" if secret in guesses else f"not in {len(guesses)}"
    return (
        f"  {kind}  {' '.join(secret)}  best guess {' '.join(best)}  "
        f"{'EXACT' if best == secret else 'wrong'}  hamming {hamming(best, secret)}  "
        f"multiset {'yes' if multiset_match(best, secret) else 'no'}  place {place}"
    )


def _read(path: Path) -> tuple[list[str], list[Secret]]:
    """The sentences and the secrets of the candidates, best first."""
    try:
        candidates: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[
            "candidates"
        ]
        found = [(str(one["text"]), tuple(map(str, one["secret"]))) for one in candidates]
    except (ValueError, KeyError, TypeError) as error:
        raise ModivaError(f"{path} is not the output of modiva attack --json: {error}") from error
    if not found:
        raise ModivaError(f"{path} holds no candidates: run the attack again")
    return [text for text, _ in found], [secret for _, secret in found]
