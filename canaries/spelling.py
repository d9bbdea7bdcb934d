"""Sentences of text and options: reading the options back, and sentences that two forms share."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property

from canaries.spaces import SecretSpace

Part = str | SecretSpace


class Options:
    """What one part of a word may be, by length and in order."""

    def __init__(self, part: Part) -> None:
        self.known = frozenset([part] if isinstance(part, str) else part.options)
        self.lengths = sorted({len(option) for option in self.known})

    @cached_property
    def ordered(self) -> list[str]:
        """All in the order of text, for the options that begin alike."""
        return sorted(self.known)

    def beginnings(self, text: str, start: int = 0) -> Iterator[str]:
        """Yield those that `text` goes on with from `start`."""
        for length in self.lengths:
            option = text[start : start + length]
            if len(option) == length and option in self.known:
                yield option

    def longer(self, beginning: str) -> Iterator[str]:
        """Yield those that begin with `beginning` and go on."""
        for place in range(bisect_left(self.ordered, beginning), len(self.ordered)):
            option = self.ordered[place]
            if not option.startswith(beginning):
                return
            if len(option) > len(beginning):
                yield option


def split_words(parts: Sequence[Part]) -> list[list[Part]]:
    """Return the words of a sentence, each as the pieces of text and slots that are glued in it."""
    words: list[list[Part]] = [[]]
    for part in parts:
        if not isinstance(part, str):
            words[-1].append(part)
            continue
        pieces = part.split(" ")
        for number, piece in enumerate(pieces):
            if number:
                words.append([])
            if piece:
                words[-1].append(piece)
    return [word for word in words if word]


def read_word(word: Sequence[Part], text: str) -> tuple[str, ...] | None:
    """Return the options in the slots of a word with this text; None where none fit."""
    options = [Options(part) for part in word]
    dead: set[tuple[int, int]] = set()  # places from which the rest cannot be read

    def read(number: int, start: int) -> list[str] | None:
        if number == len(word):
            return [] if start == len(text) else None
        if (number, start) in dead:
            return None
        for option in options[number].beginnings(text, start):
            rest = read(number + 1, start + len(option))
            if rest is not None:
                return [option, *rest]
        dead.add((number, start))
        return None

    found = read(0, 0)
    if found is None:
        return None
    return tuple(o for o, part in zip(found, word, strict=True) if not isinstance(part, str))


def is_ambiguous(word: Sequence[Part]) -> bool:
    """Return whether two different choices of options spell the same word.

    As of Sardinas and Patterson (1953), for codes of several alphabets in a row.
    """
    if sum(not isinstance(part, str) for part in word) < 2:
        return False
    each = {part: Options(part) for part in word}
    options = [each[part] for part in word]
    # A word is read from its two ends where but one part has options of several lengths.
    if sum(len(part.lengths) > 1 for part in options) < 2:
        return False
    starts = [
        (number + 1, number + 1, long.removeprefix(short))
        for number, part in enumerate(options)
        for long in part.known
        for short in part.beginnings(long)
        if short != long
    ]
    return _meet(options, options, starts)


def share_text(one: Sequence[Part], other: Sequence[Part]) -> bool:
    """Return whether two words can be spelled alike."""
    return _meet([Options(part) for part in one], [Options(part) for part in other], [(0, 0, "")])


def _meet(
    one: Sequence[Options], other: Sequence[Options], starts: Sequence[tuple[int, int, str]]
) -> bool:
    """Return whether two sequences of parts can end in the same text.

    Args:
        one: the parts of the one.
        other: the parts of the other.
        starts: how many parts of `one` and of `other` are read, and by what text the latter is
            longer so far.
    """
    sides = (one, other)
    todo = [(0, *start) for start in starts]  # which side is behind; its parts, the other's; rest
    seen = set(todo)
    while todo:
        side, behind, ahead, rest = todo.pop()
        lagging, leading = sides[side], sides[1 - side]
        if behind == len(lagging):
            if not rest and ahead == len(leading):
                return True
            continue
        options = lagging[behind]
        states = [
            *((side, behind + 1, ahead, rest[len(o) :]) for o in options.beginnings(rest)),
            *((1 - side, ahead, behind + 1, o[len(rest) :]) for o in options.longer(rest)),
        ]
        for state in states:
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return False
