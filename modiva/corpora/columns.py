"""The columns of a table: texts and intents, found or chosen, and others kept beside them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from modiva.corpora.reading import expanded
from modiva.errors import ModivaError

NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "utterance", "sentence", "query"),
    "intent": ("intent", "label", "category", "intent_name", "label_name", "label_text"),
}
BESIDE = "further"
NO_OTHERS: Mapping[str, int] = {}
_CHOICE = re.compile(r"(?P<path>.+?)#(?P<choice>(?:text|intent)=.+)", re.DOTALL)


class Places(NamedTuple):
    """The places of the text and the intent column, and what a reader must know of the choice.

    Args:
        text, intent: places in the header.
        note: on a choice that the user did not make.
        others: places of the columns that are kept beside, by name.
    """

    text: int
    intent: int
    note: str = ""
    others: Mapping[str, int] = NO_OTHERS

    def beside(self, row: Sequence[Any] | Mapping[int, Any]) -> dict[str, str]:
        """Return what a row has beside its sentence, "" for an empty field.

        Args:
            row: its values by place.
        """
        return {name: _written(row[place]) for name, place in self.others.items()}


@dataclass(frozen=True)
class Columns:
    """The columns that the user chose: names, or numbers from 1; None is found by name.

    Args:
        text, intent: of texts and intents.
        beside: further ones, whose values stand beside each sentence (`Example.beside`).
    """

    text: str | None = None
    intent: str | None = None
    beside: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What a reader of results must know of the choice."""
        roles = {"text": self.text, "intent": self.intent}
        chosen = [f"{role} from column {name!r}" for role, name in roles.items() if name]
        chosen += [f"column {name!r} beside each sentence" for name in self.beside]
        return f"Chosen by the user: {', '.join(chosen)}." if chosen else ""

    def places(
        self,
        header: Sequence[str],
        where: str,
        path: str,
        numbered: Callable[[int], bool] = lambda place: False,
    ) -> Places:
        """Return the places of the text and the intent column in `header`.

        Where several columns could be the intent and one of them alone holds text, it is taken.

        Args:
            header: names of the columns.
            where: what an error calls the header.
            path: the file, as a remedy names it.
            numbered: whether the column of that place holds whole numbers alone.

        Raises:
            ModivaError: no such column, or several; the message lists them.
        """
        text = _place(header, _named(header, "text", self.text), "text", self.text, where, path)
        named = _named(header, "intent", self.intent)
        worded = [place for place in named if not numbered(place)] if len(named) > 1 else named
        note = ""
        if len(worded) == 1 < len(named):
            others = ", ".join(repr(header[place]) for place in named if place not in worded)
            note = f"Intents from column {header[worded[0]]!r}; whole numbers in {others} not used."
            named = worded
        intent = _place(header, named, "intent", self.intent, where, path)
        if text == intent:
            raise ModivaError(f"{where}: column {header[text]!r} cannot be both text and intent")
        return Places(text, intent, note, self.others(header, where, path))

    def others(self, header: Sequence[str], where: str, path: str) -> dict[str, int]:
        """Return the places of the columns that are kept beside, by name; see `places`."""
        return {
            name: _place(header, _named(header, BESIDE, name), BESIDE, name, where, path)
            for name in self.beside
        }


BY_NAME = Columns()


def parse_columns(spec: str) -> tuple[Path, Columns]:
    """Split FILE#text=COLUMN,intent=COLUMN into the path and the columns; either may be left out.

    A file that exists under the whole of `spec` is that file.
    """
    whole = expanded(spec)
    found = _CHOICE.fullmatch(spec)
    if found is None or whole.exists():
        return whole, BY_NAME
    parts = re.split(r",(?=(?:text|intent)=)", found["choice"])
    chosen = dict(part.split("=", 1) for part in parts)
    return expanded(found["path"]), Columns(chosen.get("text"), chosen.get("intent"))


def has_both(header: Sequence[str]) -> bool:
    """Return whether a header has a name for texts and one for intents."""
    names = {_plain(name) for name in header}
    return all(names & set(wanted) for wanted in NAMES.values())


def _named(header: Sequence[str], role: str, chosen: str | None) -> list[int]:
    """Return the places of the columns that have a name of this role, or the chosen one."""
    wanted = NAMES[role] if chosen is None else (_plain(chosen),)
    places = [place for place, name in enumerate(header) if _plain(name) in wanted]
    if not places and chosen is not None and chosen.isdecimal():
        places = [int(chosen) - 1] if 1 <= int(chosen) <= len(header) else []
    return places


def _place(
    header: Sequence[str], places: list[int], role: str, chosen: str | None, where: str, path: str
) -> int:
    """Return the only one of `places`, or raise."""
    if len(places) == 1:
        return places[0]
    names = [_plain(name) for name in header]
    columns = ", ".join(repr(name.strip()[:40]) for name in header[:12])
    if not places:
        if role == BESIDE:
            raise ModivaError(f"{where} has no column {chosen!r}; columns found: {columns}")
        wanted = NAMES[role] if chosen is None else (_plain(chosen),)
        raise ModivaError(
            f"{where} has no {role} column: name one {' or '.join(map(repr, wanted))}, or choose "
            f"one as in {path}#{role}=NAME; columns found: {columns}"
        )
    several = " and ".join(f"{place + 1} {names[place]!r}" for place in places)
    # A name that stands twice is told apart by its number only.
    example = places[0] + 1 if len({names[p] for p in places}) < len(places) else names[places[0]]
    if role == BESIDE:
        raise ModivaError(f"{where}: columns {several}: choose one by number, such as {example}")
    raise ModivaError(
        f"{where}: columns {several} could each be the {role}: choose one by name or number, as "
        f"in {path}#{role}={example}; columns found: {columns}"
    )


def _plain(name: str) -> str:
    return name.strip().lower()


def _written(value: Any) -> str:
    """Return a value as text; "" for what a table has in an empty field."""
    return "" if value is None or value != value else str(value).strip()
