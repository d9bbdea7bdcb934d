"""A canary's form: literal text, and slots for the secret; with the arithmetic of its space."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from canaries.drawing import draw_distinct
from canaries.library import load_patterns
from canaries.spaces import CanaryError, SecretSpace, get_space, suggest
from canaries.spelling import is_ambiguous, read_word, split_words
from canaries.templates import (
    CATALOG,
    MAX_SLOTS,
    Slots,
    check_slots,
    parse_slot_list,
    parse_template,
    resize_template,
)

__all__ = [
    "CATALOG",
    "Pattern",
    "compile_pattern",
    "get_pattern",
    "listed_pattern",
    "load_patterns",
    "parse_slots",
]


@dataclass(frozen=True)
class Pattern:
    """Literal text and slots in order; a secret is one option for each slot.

    Secrets are numbered 0 .. size - 1 in mixed radix, the last slot fastest.

    Args:
        name: what tables call it: the name in the catalog, or the template itself.
        template: the text that it was made from, such as "call {digit*4}".
        parts: pieces of text, spaces included, and one SecretSpace for each slot; the sentence is
            all of them joined by nothing.

    Raises:
        CanaryError: slots are glued so that two secrets make the same sentence.
    """

    name: str
    template: str
    parts: tuple[str | SecretSpace, ...]

    def __post_init__(self) -> None:
        for word in self._words:
            if is_ambiguous(word):
                shown = "".join(p if isinstance(p, str) else f"{{{p.name}}}" for p in word)
                raise CanaryError(
                    f"{shown!r} of template {self.template!r} can be read in two ways, so that two "
                    "secrets are the same text: put a mark or a space between its slots"
                )

    @cached_property
    def slots(self) -> tuple[SecretSpace, ...]:
        """The space of each slot, in order."""
        return tuple(part for part in self.parts if isinstance(part, SecretSpace))

    @property
    def length(self) -> int:
        """The number of slots."""
        return len(self.slots)

    @property
    def size(self) -> int:
        """The number of secrets, exactly, however large."""
        return math.prod(map(len, self.slots))

    @property
    def glued(self) -> bool:
        """Whether a slot touches text or another slot, so that it is no word by itself."""
        return any(
            len(word) > 1 and any(isinstance(part, SecretSpace) for part in word)
            for word in self._words
        )

    @property
    def prefix(self) -> str:
        """The literal text before the first slot, without the space there."""
        return "".join(map(str, self.parts[: self._slot_places[0]])).strip()

    @property
    def suffix(self) -> str:
        """The literal text after the last slot, without the space there."""
        return "".join(map(str, self.parts[self._slot_places[-1] + 1 :])).strip()

    @cached_property
    def _slot_places(self) -> list[int]:
        return [place for place, part in enumerate(self.parts) if isinstance(part, SecretSpace)]

    @cached_property
    def _words(self) -> list[list[str | SecretSpace]]:
        return split_words(self.parts)

    def fill(self, secret: Sequence[str]) -> str:
        """Return the sentence with the options of `secret` in its slots."""
        self.index(secret)  # refuses what does not fit
        options = iter(secret)
        return "".join(part if isinstance(part, str) else next(options) for part in self.parts)

    def match(self, text: str) -> tuple[str, ...] | None:
        """Return the secret that `fill` turns into `text`, or None where there is none."""
        words = text.split()
        if len(words) != len(self._words):
            return None
        secret: list[str] = []
        for parts, word in zip(self._words, words, strict=True):
            found = read_word(parts, word)
            if found is None:
                return None
            secret += found
        return tuple(secret)

    def index(self, secret: Sequence[str]) -> int:
        """Return the number of a secret, 0 .. size - 1.

        Raises:
            CanaryError: when the secret has another length or a word that its slot cannot hold.
        """
        if isinstance(secret, str) or len(secret) != self.length:
            raise CanaryError(
                f"secret {secret!r} does not fit {self.template!r}: give {self.length} words, one "
                "for each slot"
            )
        index = 0
        for space, word in zip(self.slots, secret, strict=True):
            index = index * len(space) + space.index(word)
        return index

    def secret(self, index: int) -> tuple[str, ...]:
        """Return the secret with this number, 0 .. size - 1; CanaryError outside that range."""
        if not 0 <= index < self.size:
            raise CanaryError(
                f"{self.template!r} has no secret number {index}: use 0 to {self.size - 1}"
            )
        words = []
        for space in reversed(self.slots):
            index, place = divmod(index, len(space))
            words.append(space.options[place])
        return tuple(reversed(words))

    def draw(
        self, rng: np.random.Generator, n: int, *, exclude: Collection[int] = ()
    ) -> list[tuple[str, ...]]:
        """Return `n` distinct secrets, each ordered choice of n equally likely.

        The first k of n are what `draw(rng, k)` gives from the same state of `rng`.

        Args:
            rng: the only source of randomness.
            n: how many, 0 or more.
            exclude: numbers of secrets that are not to be drawn.

        Raises:
            CanaryError: when the space has fewer than `n` secrets left.
        """
        excluded = len(set(exclude))
        left = self.size - excluded
        if not 0 <= n <= left:
            besides = f" besides {excluded} that are excluded" if excluded else ""
            raise CanaryError(
                f"{self.template!r} has {left} secrets to draw from{besides}, and {n} are asked "
                f"for, planted and controls together: ask for 0 to {left}, or use longer slots"
            )
        return [self.secret(index) for index in draw_distinct(rng, self.size, n, exclude)]


def get_pattern(
    spec: str,
    *,
    vocabulary: Sequence[str] | None = None,
    spaces: Mapping[str, SecretSpace] | None = None,
    patterns: Mapping[str, str] | None = None,
) -> Pattern:
    """Return the pattern that `spec` describes.

    Args:
        spec: a name ("call"), a name and the length of its one repeated slot ("call:6"), or a
            template ("my code is {digit*4} please").
        vocabulary: the words of the corpus, for slots of the space "word".
        spaces: own spaces, by name; they go before those of `canaries.spaces.SPACES`.
        patterns: own templates, by name; they go before those of `CATALOG`.

    Raises:
        CanaryError: for an unknown name or space, a bad length, or a bad template.
    """
    templates = {**CATALOG, **(patterns or {})}
    name, colon, length = spec.strip().partition(":")
    if spec in templates:
        name, template = spec, templates[spec]
    elif "{" in spec or "}" in spec:
        name = template = "".join(map(str, parse_template(spec)))
    elif name not in templates:
        raise CanaryError(
            f"{spec!r} is neither a pattern nor a template with slots{suggest(name, templates)}: "
            f"use one of {', '.join(templates)}, with :LENGTH to change its length, or write a "
            "template such as 'my code is {digit*4}'"
        )
    elif colon and not (length.isascii() and length.isdigit() and len(length) <= 6):
        raise CanaryError(
            f"{length!r} in {spec!r} is not a length: use a number from 1 to {MAX_SLOTS}, such as "
            f"{name}:4"
        )
    else:
        template = resize_template(templates[name], int(length)) if colon else templates[name]
    return compile_pattern(name, template, vocabulary=vocabulary, spaces=spaces)


def compile_pattern(
    name: str,
    template: str,
    *,
    vocabulary: Sequence[str] | None = None,
    spaces: Mapping[str, SecretSpace] | None = None,
) -> Pattern:
    """Return the pattern called `name` with the spaces of its template looked up."""
    parts = parse_template(template)
    return Pattern(name, template, _expand(parts, vocabulary=vocabulary, spaces=spaces))


def listed_pattern(
    slots: str,
    *,
    prefix: str = "",
    suffix: str = "",
    vocabulary: Sequence[str] | None = None,
    spaces: Mapping[str, SecretSpace] | None = None,
) -> Pattern:
    """Return the pattern of listed slots ("month digit*2") with spaces between, and text around.

    Raises:
        CanaryError: for an empty list, an unknown space or a bad number.
    """
    parts: list[str | Slots] = []
    for slot in parse_slot_list(slots):
        parts += [" ", slot]
    before, after = " ".join(prefix.split()), " ".join(suffix.split())
    parts[0] = f"{before} " if before else ""
    pieces = [part for part in (*parts, f" {after}" if after else "") if part]
    check_slots(pieces, f"the list of slots {slots!r}")
    template = "".join(map(str, pieces))
    return Pattern(template, template, _expand(pieces, vocabulary=vocabulary, spaces=spaces))


def parse_slots(
    text: str,
    *,
    vocabulary: Sequence[str] | None = None,
    spaces: Mapping[str, SecretSpace] | None = None,
) -> tuple[SecretSpace, ...]:
    """Return the space of each slot that `text` lists: "digit*4", or "month digit*2".

    Raises:
        CanaryError: for an empty list, an unknown space or a bad number.
    """
    return listed_pattern(text, vocabulary=vocabulary, spaces=spaces).slots


def _expand(
    parts: Sequence[str | Slots],
    *,
    vocabulary: Sequence[str] | None,
    spaces: Mapping[str, SecretSpace] | None,
) -> tuple[str | SecretSpace, ...]:
    """Return the text and the space of each slot, with what stands between the slots of a row."""
    found: dict[str, SecretSpace] = {}
    expanded: list[str | SecretSpace] = []
    for part in parts:
        if isinstance(part, str):
            expanded.append(part)
            continue
        if part.space not in found:
            found[part.space] = get_space(part.space, vocabulary=vocabulary, spaces=spaces)
        for number in range(part.count):
            if number and not part.glued:
                expanded.append(" ")
            expanded.append(found[part.space])
    return tuple(expanded)
