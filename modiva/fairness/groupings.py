"""Groupings: ways to part the test sentences of a corpus into groups that a protection may hurt.

A grouping is a function from a corpus to sentences with a group each. It depends on the corpus
alone, never on a model, so that all models of a study are compared on the same groups.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from modiva.corpora import Corpus
from modiva.errors import ModivaError
from modiva.swaps import NAMES

ALIKE = 1.5  # ratio of two numbers of sentences from which intents are common and rare
MOST_VALUES = 50  # of a column: groups of few sentences tell nothing
UNKNOWN = "?"
SWAPS = 3  # names of each list that take the place of a name
NAME = re.compile(
    rf"\b(?:{'|'.join(name for names in NAMES.values() for name in names)})\b", re.IGNORECASE
)


class Grouped(NamedTuple):
    """A sentence to classify, its true intent and its group."""

    text: str
    intent: str
    group: str


K = TypeVar("K")
Grouping = Callable[[Corpus], list[Grouped]]


def by_frequency(corpus: Corpus) -> list[Grouped]:
    """Group test sentences by how many training sentences their intent has.

    Groups are thirds of the range on a scale of ratios: from 50 to 400 sentences, up to 100, up to
    200 and more. Intents whose numbers differ by less than half are all alike.
    """
    counts = Counter(intent for _, intent in corpus.train)
    found = {intent: counts[intent] for _, intent in corpus.test}
    low, high = max(min(found.values(), default=1), 1), max(found.values(), default=1)
    ratio = high / low if high >= ALIKE * low else math.inf
    groups = _named(found, [low * ratio ** (part / 3) for part in (1, 2)], "sentences")
    return [Grouped(text, intent, groups[intent]) for text, intent in corpus.test]


def by_length(corpus: Corpus) -> list[Grouped]:
    """Group test sentences by their number of words: thirds of the sentences."""
    lengths = {place: len(text.split()) for place, (text, _) in enumerate(corpus.test)}
    ranked = sorted(lengths.values())
    edges = [ranked[len(ranked) * part // 3] for part in (1, 2)] if ranked else []
    groups = _named(lengths, edges, "words")
    return [Grouped(*example, groups[place]) for place, example in enumerate(corpus.test)]


def by_unknown(corpus: Corpus) -> list[Grouped]:
    """Group test sentences by whether the training split holds all their words."""
    known = set(corpus.vocabulary())
    return [
        Grouped(text, intent, "words seen" if known.issuperset(text.split()) else "unseen words")
        for text, intent in corpus.test
    ]


def by_typo(corpus: Corpus) -> list[Grouped]:
    """Take every test sentence as it is written, and with one typing error in its longest word."""
    return [
        Grouped(written, intent, group)
        for text, intent in corpus.test
        for written, group in ((text, "as written"), (with_typo(text), "one typo"))
        if with_typo(text) != text
    ]


def by_name(corpus: Corpus) -> list[Grouped]:
    """Take every test sentence with a given name, the name swapped for others of each list.

    Names that the training split holds are preferred, where each list has enough of them: others
    are one and the same unknown word to a model of words.
    """
    known = set(corpus.vocabulary())
    lists = {group: [n for n in names if n in known] for group, names in NAMES.items()}
    if min(map(len, lists.values())) < SWAPS:
        lists = {group: list(names) for group, names in NAMES.items()}
    return [
        Grouped(NAME.sub(name, text), intent, group)
        for text, intent in corpus.test
        if NAME.search(text)
        for group, names in lists.items()
        for name in _drawn(names, text)
    ]


def by_column(column: str, corpus: Corpus) -> list[Grouped]:
    """Group test sentences by what a column of the corpus says of them; "?" where it is empty."""
    return [Grouped(*one, one.beside.get(column) or UNKNOWN) for one in corpus.test]


GROUPINGS: Mapping[str, Grouping] = MappingProxyType(
    {
        "frequency": by_frequency,
        "length": by_length,
        "unknown": by_unknown,
        "typo": by_typo,
        "name": by_name,
    }
)


def grouped(name: str, corpus: Corpus) -> list[Grouped]:
    """Return the sentences of a grouping, or of a column that the corpus has beside its sentences.

    Raises:
        ModivaError: an unknown grouping, one that finds fewer than two groups in the corpus, or a
            column with the name of a grouping or with more than `MOST_VALUES` values.
    """
    column = any(name in one.beside for one in corpus.test)
    if column and name in GROUPINGS:
        raise ModivaError(f"--group-column {name}: a grouping has this name; rename the column")
    if not column and name not in GROUPINGS:
        raise ModivaError(
            f"--groups {name}: choose from {', '.join(GROUPINGS)}, or name a column of the corpus "
            "with --group-column"
        )
    flag = "--group-column" if column else "--groups"
    found = by_column(name, corpus) if column else GROUPINGS[name](corpus)
    groups = {one.group for one in found}
    if len(groups) < 2:
        what = f"all are {groups.pop()!r}" if groups else "none is of any group"
        raise ModivaError(
            f"{flag} {name}: the {len(corpus.test)} test sentences of {corpus.name} do not "
            f"differ ({what}): leave it out"
        )
    if len(groups) > MOST_VALUES:
        raise ModivaError(
            f"{flag} {name}: {len(groups):,} values in the test split of {corpus.name}, must be "
            f"{MOST_VALUES} at most: write a column that puts several into one"
        )
    return found


def with_typo(text: str) -> str:
    """Exchange two letters inside the longest word; short sentences without one stay as they are.

    The first and the last letter stay, which is how people mistype; a function of the text alone.
    """
    words = text.split(" ")
    place = max(range(len(words)), key=lambda at: len(words[at]))
    word = words[place]
    pairs = [i for i in range(1, len(word) - 2) if word[i] != word[i + 1]]
    if not pairs:
        return text
    at = pairs[_number(text) % len(pairs)]
    words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def _named(values: Mapping[K, int], edges: Sequence[float], unit: str) -> dict[K, str]:
    """Part values at edges, which begin the next part, and name each part by its range."""
    place = {key: sum(value >= edge for edge in edges) for key, value in values.items()}
    names = {}
    for part in set(place.values()):
        own = [value for key, value in values.items() if place[key] == part]
        low, high = min(own), max(own)
        names[part] = f"{low} {unit}" if low == high else f"{low}–{high} {unit}"
    return {key: names[part] for key, part in place.items()}


def _drawn(names: Sequence[str], text: str) -> Iterator[str]:
    """Choose names for a sentence, by its text."""
    first = _number(text)
    for step in range(min(SWAPS, len(names))):
        yield names[(first + step) % len(names)]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
