"""Put canaries into a corpus, and write down what was put there."""

import itertools
import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from canaries.drawing import generator, uniform_below
from canaries.ledger import Canary, Ledger
from canaries.patterns import Pattern
from canaries.spaces import CanaryError, SecretSpace, suggest
from canaries.spelling import share_text, split_words

logger = logging.getLogger(__name__)

Example = tuple[str, str]  # text, intent
Secret = tuple[str, ...]

RANDOM = "random"
NEW = "new"
GLUED_WORDS = 20_000  # combinations of glued slots up to which all are words of a vocabulary

_MARK = re.compile(r"([^\w'])")


@dataclass(frozen=True)
class Planting:
    """`count` canaries of one pattern, each planted `repetitions` times.

    Args:
        pattern: their form.
        repetitions: copies of each in the training split; 0 keeps them out of it, as a floor.
        label: "random" for a random training intent for each, "new" for an intent of their own
            that no other sentence has, or the name of a training intent.
        count: how many canaries, 1 or more.
        controls: how many secrets to draw with each that are never planted, 0 or more.

    Raises:
        CanaryError: for a number out of range, or a new intent that no sentence would have.
    """

    pattern: Pattern
    repetitions: int
    label: str = RANDOM
    count: int = 1
    controls: int = 5

    def __post_init__(self) -> None:
        for name, least in (("repetitions", 0), ("count", 1), ("controls", 0)):
            _check_integer(f"{name} of pattern {self.pattern.name!r}", getattr(self, name), least)
        if self.label == NEW and self.repetitions == 0:
            raise CanaryError(
                f"pattern {self.pattern.name!r} has 0 repetitions and label 'new', an intent that "
                "no sentence would have: use 'random' or a training intent, or plant it at least "
                "once"
            )


@dataclass(frozen=True)
class Planted:
    """A corpus with canaries in it, and their ledger.

    Args:
        train: (text, intent) pairs: the originals in their order, canaries at random places.
        valid: the same of the validation split; the original unless a share was planted in it.
        ledger: what was planted, to be kept from attacks.
    """

    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    ledger: Ledger


def plant(
    train: Sequence[Example],
    valid: Sequence[Example],
    plantings: Sequence[Planting],
    *,
    seed: int,
    share_valid: bool = False,
) -> Planted:
    """Plant canaries at random places of the training split.

    Secrets and controls are drawn together, uniformly and without replacement, from the secrets
    whose sentence the corpus does not hold already. Plantings of one pattern share a draw; what
    a planting draws depends on earlier plantings of its own pattern, and on no others.

    Args:
        train: (text, intent) pairs, at least one.
        valid: (text, intent) pairs.
        plantings: what to plant.
        seed: 0 or more; the result is a pure function of the arguments.
        share_valid: plant the same share, repetitions / len(train), of the validation split too,
            and at least one copy of each canary that is in the training split.

    Raises:
        CanaryError: for an unknown intent, a space that is too small, two patterns that can make
            the same sentence, or a split that cannot be planted in.
    """
    _check_integer("seed", seed, 0)
    train, valid = tuple(train), tuple(valid)
    if not train:
        raise CanaryError("the training split is empty: give at least one sentence to plant among")
    if share_valid and not valid:
        raise CanaryError("a share of the validation split was asked for, and the split is empty")
    _refuse_shared_sentences([planting.pattern for planting in plantings])

    share = len(valid) / len(train) if share_valid else 0.0
    canaries = _canaries(train, valid, plantings, seed, share)
    ledger = Ledger(tuple(canaries), int(seed))
    logger.info(
        "planted %d copies of %d canaries among %d training sentences",
        sum(canary.repetitions for canary in canaries),
        len(canaries),
        len(train),
    )
    return plant_again(train, valid, ledger)


def plant_again(train: Sequence[Example], valid: Sequence[Example], ledger: Ledger) -> Planted:
    """Plant the canaries of a ledger, at places that follow from its seed and the sizes."""
    return Planted(
        _filled(train, ledger.order(len(train))),
        _filled(valid, ledger.order(len(valid), "valid")),
        ledger,
    )


def _filled(examples: Sequence[Example], order: Sequence[int | Canary]) -> tuple[Example, ...]:
    return tuple(
        (place.text, place.label) if isinstance(place, Canary) else examples[place]
        for place in order
    )


def candidate_words(patterns: Iterable[Pattern]) -> tuple[str, ...]:
    """Return every word that a sentence of `patterns` may hold, each once.

    They are public, so they are in the vocabulary of every target, whatever was planted in it:
    a vocabulary that held only the planted words would give the secret away. Slots that are glued
    make one word of each combination; where these are more than `GLUED_WORDS`, none is listed, and
    all are unknown alike to a tokenizer of whole words.
    """
    words: dict[str, None] = {}
    for pattern in patterns:
        for word in split_words(pattern.parts):
            for run in _between_marks(word):
                options = [[part] if isinstance(part, str) else part.options for part in run]
                if math.prod(map(len, options)) <= GLUED_WORDS:
                    words.update(dict.fromkeys(map("".join, itertools.product(*options))))
    return tuple(words)


def _between_marks(word: Sequence[str | SecretSpace]) -> list[list[str | SecretSpace]]:
    """Split a word at its punctuation marks, which are words too."""
    runs: list[list[str | SecretSpace]] = [[]]
    for part in word:
        if not isinstance(part, str):
            runs[-1].append(part)
            continue
        for piece in filter(None, _MARK.split(part)):
            if _MARK.fullmatch(piece):
                runs += [[piece], []]
            else:
                runs[-1].append(piece)
    return [run for run in runs if run]


def _canaries(
    train: Sequence[Example],
    valid: Sequence[Example],
    plantings: Sequence[Planting],
    seed: int,
    share: float,
) -> list[Canary]:
    """Return what to plant, with its labels and numbers; `share` is len(valid) / len(train)."""
    intents = sorted({intent for _, intent in train})
    used_names = {*intents, *(intent for _, intent in valid), RANDOM, NEW}
    drawn = _draw_secrets([*train, *valid], plantings, seed)
    ids: Counter[str] = Counter()
    forms: Counter[str] = Counter()
    canaries = []
    for planting, secrets in zip(plantings, drawn, strict=True):
        pattern, form = planting.pattern, _form(planting.pattern)
        slug = re.sub(r"[\W_]+", "-", pattern.name).strip("-") or "canary"
        planted_label = _label(planting, slug, intents, used_names)
        copies = int(planting.repetitions)
        for place, secret in enumerate(secrets[: planting.count]):
            label = planted_label
            if label == RANDOM:
                rng = generator(seed, "label", form, str(forms[form]))
                label = intents[uniform_below(rng, len(intents))]
            first = planting.count + place * planting.controls
            canaries.append(
                Canary(
                    id=f"{slug}-{ids[slug]}",
                    pattern=pattern.name,
                    template=pattern.template,
                    spaces=tuple(dict.fromkeys(pattern.slots)),
                    secret=secret,
                    label=label,
                    repetitions=copies,
                    valid_repetitions=max(1, round(copies * share)) if copies and share else 0,
                    controls=tuple(secrets[first : first + planting.controls]),
                )
            )
            ids[slug] += 1
            forms[form] += 1
    return canaries


def _draw_secrets(
    corpus: Sequence[Example], plantings: Sequence[Planting], seed: int
) -> list[list[Secret]]:
    """Return what each planting drew: its secrets, then the controls of each in turn."""
    wanted = [planting.count * (1 + planting.controls) for planting in plantings]
    totals: Counter[tuple[str | SecretSpace, ...]] = Counter()
    for planting, n in zip(plantings, wanted, strict=True):
        totals[planting.pattern.parts] += n
    streams = {}
    texts = {text for text, _ in corpus}
    for planting in plantings:
        pattern = planting.pattern
        if pattern.parts in streams:
            continue
        # A secret that the corpus holds already is neither planted R times nor a control.
        held = {pattern.index(found) for text in texts if (found := pattern.match(text))}
        rng = generator(seed, "secrets", _form(pattern))
        streams[pattern.parts] = iter(pattern.draw(rng, totals[pattern.parts], exclude=held))
    return [
        [next(streams[planting.pattern.parts]) for _ in range(n)]
        for planting, n in zip(plantings, wanted, strict=True)
    ]


def _label(planting: Planting, slug: str, intents: Sequence[str], used: set[str]) -> str:
    """Return the label as given, or the name of a new intent, which is added to `used`."""
    if planting.label == NEW:
        stem = name = "canary_" + slug.replace("-", "_")
        number = 1
        while name in used:
            number += 1
            name = f"{stem}_{number}"
        used.add(name)
        return name
    if planting.label != RANDOM and planting.label not in intents:
        shown = ", ".join(intents[:20]) + (", ..." if len(intents) > 20 else "")
        raise CanaryError(
            f"no training sentence has the intent {planting.label!r}"
            f"{suggest(planting.label, intents)}: use 'random', 'new', or one of the "
            f"{len(intents)} intents ({shown})"
        )
    return planting.label


def _refuse_shared_sentences(patterns: Sequence[Pattern]) -> None:
    """Refuse two patterns if one could plant the other's controls."""
    distinct = list({pattern.parts: pattern for pattern in patterns}.values())
    for place, one in enumerate(distinct):
        for other in distinct[:place]:
            words = split_words(one.parts), split_words(other.parts)
            if len(words[0]) == len(words[1]) and all(map(share_text, *words)):
                raise CanaryError(
                    f"patterns {other.template!r} and {one.template!r} can make the same sentence, "
                    "so that one could plant the other's control: change a word of one of them"
                )


def _form(pattern: Pattern) -> str:
    """Return the same text for all spellings of a pattern, `{digit*2}` and `{digit} {digit}`."""
    return "".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in pattern.parts)


def _check_integer(name: str, value: object, least: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
    if not whole:
        raise CanaryError(f"{name} is {value!r}: use a whole number, {least} or more")
