"""`modiva score`: compare what an attack reconstructed with what was planted."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tyro.conf import Positional

from canaries import CanaryError, Ledger, Pattern, SecretSpace, get_pattern
from canaries.documents import spaces_from_json
from canaries.patterns import listed_pattern
from canaries.reading import parse_json, quote, read_bytes
from modiva.counts import plural
from modiva.errors import ModivaError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from attacks.problem import Completion

Secret = tuple[str, ...]

# Candidates of which all are scored for the place of a secret, by an objective and by an attack's
# own score; of more, a sample.
ENUMERATED, RANKED, SAMPLED = 10**6, 50_000, 20_000


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
    """The attacked checkpoint: scores every possible secret, or a sample of more than 1,000,000,
    for the place among them."""

    def run(self) -> int:
        """Print exact match, Hamming distance and place among the candidates, with the controls."""
        if (self.ledger is None) == (self.secret is None):
            raise ModivaError("give one of --ledger FILE and --secret 'WORD WORD ...'")
        found, sentences, guesses = _read(self.reconstruction)
        if self.secret is not None:
            known = _known(self.secret, found, len(guesses[0]))
            if len(known) != len(guesses[0]):
                raise ModivaError(
                    f"--secret {self.secret!r} does not fit the {len(guesses[0])} slots: write it "
                    f"as in the sentence, or one word a slot, such as {' '.join(guesses[0])!r}"
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
        """Print where secrets stand among all of their space, by the attack's score if it can."""
        from attacks import build_completion
        from attacks.checkpoint import load_checkpoint
        from attacks.vocabulary import whole_words

        assert self.checkpoint is not None
        model, tokenizer = load_checkpoint(self.checkpoint)
        problem = build_completion(
            tokenizer,
            model,
            label=found["label_index"],
            pattern=pattern or _pattern(found, whole_words(tokenizer, model)),
            drop_unknown=True,
        )
        for secret, place in zip(secrets, _places(model, problem, found, secrets), strict=True):
            print(f"  {' '.join(secret)} is {place}")


def _places(
    model: "PreTrainedModel", problem: "Completion", found: dict[str, Any], secrets: list[Secret]
) -> list[str]:
    """Return the place of each secret in words: among all of its space, or among a sample."""
    from attacks import get_attack
    from attacks.objectives import OBJECTIVES
    from attacks.registry import ATTACKS
    from attacks.scoring import score_choices, score_space
    from modiva.measure import exposure

    by, size = found["objective"], problem.size
    known = by in ATTACKS and not ATTACKS[by].needs and size <= RANKED
    if by not in OBJECTIVES and not known:
        # Its ranker or first weights are not given here, or it looks at a part of the space.
        by = "loss"
    if size > ENUMERATED:
        rng = np.random.default_rng(0)
        chosen = rng.integers(0, problem.sizes, (SAMPLED, len(problem.sizes)))  # (N, n)
        drawn = [problem.secret(choices) for choices in chosen.tolist()]
        scores = score_choices(model, problem, by, [*drawn, *secrets])
        better = [int((scores[:SAMPLED] <= own).sum()) for own in scores[SAMPLED:]]
        return [
            f"behind {ahead:,} of {SAMPLED:,} candidates drawn at random by {by} (about "
            f"{np.log2((SAMPLED + 1) / (ahead + 1)):.1f} bits of exposure, of "
            f"{np.log2(SAMPLED + 1):.1f} that so many can show)"
            for ahead in better
        ]
    if known:
        (ranked,) = get_attack(by).run(model, [problem])
        assert ranked.scored is not None
        scores = np.full(size, np.inf)  # what it did not look at is last
        scores[ranked.scored.numbers] = ranked.scored.scores
    else:
        scores = score_space(model, problem, by)
    places = [int(np.ravel_multi_index(problem.choices(one), problem.sizes)) for one in secrets]
    return [
        f"number {exposure.rank_in_space(scores, place):,} of {size:,} by {by} "
        f"({exposure.exposure_in_space(scores, place):.1f} bits of exposure)"
        for place in places
    ]


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
