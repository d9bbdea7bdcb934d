"""The columns of texts and intents in a table: found by name, or chosen by the user."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modiva.errors import ModivaError

NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "utterance", "sentence", "query"),
    "intent": ("intent", "label", "category", "intent_name", "label_name", "label_text"),
}
_CHOICE = re.compile(r"(?P<path>.+?)#(?P<choice>(?:text|intent)=.+)", re.DOTALL)


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

    def places(self, header: Sequence[str], where: str, path: str) -> tuple[int, int]:
        """Return the places of the text and the intent column in `header`.

        Args:
            header: names of the columns.
            where: what an error calls the header.
            path: the file, as a remedy names it.

        Raises:
            ModivaError: no such column, or several; the message lists them.
        """
        text, intent = (_place(header, *role, where, path) for role in self._roles().items())
        if text == intent:
            raise ModivaError(f"{where}: column {header[text]!r} cannot be both text and intent")
        return text, intent

    def _roles(self) -> dict[str, str | None]:
        return {"text": self.text, "intent": self.intent}


BY_NAME = Columns()


def parse_columns(spec: str) -> tuple[Path, Columns]:
    """Split FILE#text=COLUMN,intent=COLUMN into the path and the columns; either may be left out.

    A file that exists under the whole of `spec` is that file.
    """
    whole = Path(spec).expanduser()
    found = _CHOICE.fullmatch(spec)
    if found is None or whole.exists():
        return whole, BY_NAME
    parts = re.split(r",(?=(?:text|intent)=)", found["choice"])
    return Path(found["path"]).expanduser(), Columns(**dict(part.split("=", 1) for part in parts))


def has_both(header: Sequence[str]) -> bool:
    """Return whether a header has a name for texts and one for intents."""
    names = {_plain(name) for name in header}
    return all(names & set(wanted) for wanted in NAMES.values())


def _place(header: Sequence[str], role: str, chosen: str | None, where: str, path: str) -> int:
    names = [_plain(name) for name in header]
    wanted = NAMES[role] if chosen is None else (_plain(chosen),)
    places = [place for place, name in enumerate(names) if name in wanted]
    if not places and chosen is not None and chosen.isdecimal():
        places = [int(chosen) - 1] if 1 <= int(chosen) <= len(header) else []
    if len(places) == 1:
        return places[0]
    columns = ", ".join(repr(name.strip()[:40]) for name in header[:12])
    if not places:
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
