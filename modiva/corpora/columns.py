"""The columns of texts and intents in a table: found by name, or chosen by the user."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from modiva.corpora.reading import expanded
from modiva.errors import ModivaError

NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "utterance", "sentence", "query"),
    "intent": ("intent", "label", "category", "intent_name", "label_name", "label_text"),
}
_CHOICE = re.compile(r"(?P<path>.+?)#(?P<choice>(?:text|intent)=.+)", re.DOTALL)


class Places(NamedTuple):
    """The places of the text and the intent column, and what a reader must know of the choice."""

    text: int
    intent: int
    note: str = ""


@dataclass(frozen=True)
class Columns:
    """The columns that the user chose: names, or numbers from 1; None is found by name."""

    text: str | None = None
    intent: str | None = None

    @property
    def note(self) -> str:
        """What a reader of results must know of the choice."""
        chosen = [f"{k} from column {v!r}" for k, v in self._roles().items() if v is not None]
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
        return Places(text, intent, note)

    def _roles(self) -> dict[str, str | None]:
        return {"text": self.text, "intent": self.intent}


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
    return expanded(found["path"]), Columns(**dict(part.split("=", 1) for part in parts))


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
        wanted = NAMES[role] if chosen is None else (_plain(chosen),)
        raise ModivaError(
            f"{where} has no {role} column: name one {' or '.join(map(repr, wanted))}, or choose "
            f"one as in {path}#{role}=NAME; columns found: {columns}"
        )
    several = " and ".join(f"{place + 1} {names[place]!r}" for place in places)
    # A name that stands twice is told apart by its number only.
    example = places[0] + 1 if len({names[p] for p in places}) < len(places) else names[places[0]]
    raise ModivaError(
        f"{where}: columns {several} could each be the {role}: choose one by name or number, as "
        f"in {path}#{role}={example}; columns found: {columns}"
    )


def _plain(name: str) -> str:
    return name.strip().lower()
