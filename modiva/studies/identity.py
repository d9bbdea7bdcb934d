"""What tells corpora, patterns and targets apart: their content, never the names that are shown."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from canaries import Pattern
from canaries.spaces import WORD
from modiva.corpora import Corpus
from modiva.errors import ModivaError


def check_targets(targets: Sequence[str]) -> None:
    """Raise on two targets that tables would show under one name, the last part of a path."""
    shown: dict[str, str] = {}
    for target in dict.fromkeys(targets):
        other = shown.setdefault(PurePath(target).name or target, target)
        if other != target:
            raise ModivaError(
                f"--target {other} and {target} have one name in every table: rename or link one, "
                "or make them two studies"
            )


def check_distinct(names: Sequence[str], patterns: Sequence[Pattern]) -> None:
    """Raise on two patterns of one condition that are the same sentence.

    Args:
        names: as the user gave them.
        patterns: one per name.
    """
    seen: dict[Any, str] = {}
    for name, pattern in zip(names, patterns, strict=True):
        other = seen.setdefault(_form(pattern), name)
        if other != name:
            raise ModivaError(
                f"--pattern {other!r} and {name!r} are the same sentence: give one of them; "
                "--secrets plants several secrets of one pattern"
            )


class Identities:
    """Corpora and patterns of a study, told apart by content."""

    def __init__(self) -> None:
        self._corpora: dict[str, tuple[str, str]] = {}
        self._given: dict[str, str] = {}
        self._forms: dict[tuple[str, int], Any] = {}

    def add(self, given: str, corpus: Corpus, patterns: Sequence[Pattern]) -> None:
        """Take in what a cell names.

        Args:
            given: the corpus as the user named it.
            corpus: what it holds.
            patterns: of the cell.

        Raises:
            ModivaError: two names of one corpus, whose models would count twice, or two patterns
                under one name, whose rows would be pooled.
        """
        self._corpora[given] = corpus.name, corpus.fingerprint
        other = self._given.setdefault(corpus.fingerprint, given)
        if other != given:
            raise ModivaError(
                f"--corpus {other} and {given} hold the same sentences, so that each model would "
                "count twice: give one of them"
            )
        for pattern in patterns:
            form = self._forms.setdefault((pattern.name, pattern.length), _form(pattern))
            if form != _form(pattern):
                raise ModivaError(
                    f"--pattern {pattern.name} is two different sentences in this study: rename "
                    "one of them in its patterns file"
                )

    def names(self) -> Mapping[str, str]:
        """Return the shown name of each corpus: short ones, or all as given where two are equal."""
        short = {given: name for given, (name, _) in self._corpora.items()}
        if len(set(short.values())) == len(short):
            return short
        return {given: given for given in short}


def _form(pattern: Pattern) -> Any:
    """Return the sentence of a pattern without its name; words of a corpus are any words."""
    return tuple(
        part.casefold() if isinstance(part, str) else part.name == WORD or part.options
        for part in pattern.parts
    )
