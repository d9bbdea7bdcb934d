"""`modiva score`: compare what an attack reconstructed with what was planted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tyro.conf import Positional

from canaries import CanaryError, Ledger, Pattern, SecretSpace, get_pattern
from canaries.documents import spaces_from_json
from canaries.patterns import listed_pattern
from canaries.reading import parse_json, quote, read_bytes
from modiva.counts import plural
from modiva.errors import ModivaError

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
    """A secret that you know, one word a slot, such as "1 2 3 4"; or as the sentence has it, such
    as "7391"."""
    checkpoint: str | None = None
    """The attacked checkpoint: scores every possible secret, for the place among all of them."""

    def run(self) -> int:
        """Print exact match, Hamming distance and place among the candidates, with the controls."""
        if (self.ledger is None) == (self.secret is None):
            raise ModivaError("give one of --ledger FILE and --secret 'WORD WORD ...'")
        found, sentences, guesses = _read(self.reconstruction)
        if self.secret is not None:
            known = _known(self.secret, found, len(guesses[0]))
            if len(known) != len(guesses[0]):
                raise ModivaError(
                    f"--secret {self.secret!r} has {len(known)} words, and the reconstruction has "
                    f"{len(guesses[0])}: give one word a slot"
                )
            print(_line("secret ", known, guesses))
            if self.checkpoint is not None:
                self._rank(found, [known])
            return 0
        assert self.ledger is not None
        ledger = Ledger.load(self.ledger)
        matching = [
            canary for canary in ledger.canaries if canary.form.match(sentences[0]) == guesses[0]
        ]
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
            if self.checkpoint is not None:
                self._rank(found, [canary.secret, *canary.controls], canary.form)
        return 0

    def _rank(
        self, found: dict[str, Any], secrets: list[Secret], pattern: Pattern | None = None
    ) -> None:
        """Print where secrets stand among all of their space under the attack's objective."""
        from attacks import build_completion, score_space
        from attacks.checkpoint import load_checkpoint
        from attacks.vocabulary import whole_words
        from modiva.measure import exposure

        assert self.checkpoint is not None
        model, tokenizer = load_checkpoint(self.checkpoint)
        problem = build_completion(
            tokenizer,
            model,
            label=found["label_index"],
            pattern=pattern or _pattern(found, whole_words(tokenizer, model)),
            drop_unknown=True,
        )
        scores = score_space(model, problem, found["objective"])
        for secret in secrets:
            index = np.ravel_multi_index(problem.choices(secret), problem.sizes)
            rank = exposure.rank_in_space(scores, int(index))
            bits = exposure.exposure_in_space(scores, int(index))
            place = f"number {rank:,} of {problem.size:,} by {found['objective']}"
            print(f"  {' '.join(secret)} is {place} ({bits:.1f} bits of exposure)")


def _pattern(found: dict[str, Any], vocabulary: list[str] | None = None) -> Pattern:
    """Return the sentence that was attacked; slots of any word hold `vocabulary`."""
    spaces: dict[str, SecretSpace] = spaces_from_json(found["spaces"])
    if not found["slots"]:
        return get_pattern(found["template"], vocabulary=vocabulary, spaces=spaces)
    return listed_pattern(
        found["slots"], prefix=found["prefix"], suffix=found["suffix"], vocabulary=vocabulary,
        spaces=spaces,
    )  # fmt: skip


def _known(secret: str, found: dict[str, Any], slots: int) -> Secret:
    """Split a secret into one word per slot, given so or as in its sentence."""
    words = tuple(secret.split())
    if len(words) != slots:
        try:
            pattern = _pattern(found)
        except CanaryError:  # the words of the target are not known here
            return words
        for space in (" ", ""):
            read = pattern.match(space.join((pattern.prefix, secret, pattern.suffix)))
            words = read or words
    return words


def _line(kind: str, secret: Secret, guesses: list[Secret]) -> str:
    from modiva.measure import matches

    best = guesses[0]
    place = f"place {guesses.index(secret) + 1}" if secret in guesses else "not"
    place += f" among the {plural(len(guesses), 'candidate')}"
    return (
        f"  {kind}  {' '.join(secret)}  best guess {' '.join(best)}  "
        f"{'EXACT' if best == secret else 'wrong'}  hamming {matches.hamming(best, secret)}  "
        f"multiset {'yes' if matches.multiset_match(best, secret) else 'no'}  {place}"
    )


def _read(path: Path) -> tuple[dict[str, Any], list[str], list[Secret]]:
    """Read what the attack printed: sentences and secrets of its candidates, best first."""
    try:
        printed = parse_json(read_bytes(path))
        # Several classes may share a name; output of earlier versions has the name alone.
        index = printed.setdefault("label_index", printed["label"])
        if type(index) not in (int, str):
            raise TypeError(f"label_index is {quote(index)}")
        printed.setdefault("template", "")
        printed.setdefault("spaces", {})
        spaces_from_json(printed["spaces"])
        told = [
            printed[key] for key in ("template", "prefix", "suffix", "slots", "label", "objective")
        ]
        found = [(one["text"], tuple(one["secret"])) for one in printed["candidates"]]
        for word in (*told, *(word for text, secret in found for word in (text, *secret))):
            if not isinstance(word, str):
                raise TypeError(f"{quote(word)} stands where text should")
        if not all(isinstance(one["secret"], list) for one in printed["candidates"]):
            raise TypeError("a secret is not a list of words")
        if len({len(secret) for _, secret in found}) > 1:
            raise ValueError("its secrets differ in length")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModivaError(f"{path} is not the output of modiva attack --json: {error}") from error
    if not found:
        raise ModivaError(f"{path} holds no candidates: run the attack again")
    return printed, [text for text, _ in found], [secret for _, secret in found]
