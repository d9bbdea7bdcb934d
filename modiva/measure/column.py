"""A column of results: its kind, title and meaning, as a field of a kind of row is annotated."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

Role = Literal["condition", "privacy", "rate", "measure", "model", "fact", "group"]


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        role: "condition" tells groups apart; "privacy" is a bound, of which a group has the
            largest; "rate" is 0 to 1 and "measure" has another range, both with an interval over
            models; "model" is a number of the trained model; "fact" is anything else; "group"
            is said of groups alone.
        title: the heading in tables.
        meaning: one or two sentences.
        name: of the field.
        type: str, int or float.
    """

    role: Role
    title: str
    meaning: str
    name: str = ""
    type: type = str

    @property
    def kind(self) -> Literal["text", "number", "rate"]:
        """How a table sets it."""
        return "rate" if self.role == "rate" else "text" if self.type is str else "number"


def columns_of(kind: type[Any]) -> tuple[Column, ...]:
    """Return the columns of a kind of row, in order."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_column(field.name, hints[field.name]) for field in fields(kind))


def _column(name: str, hint: Any) -> Column:
    annotated: Any
    column: Column
    annotated, column = get_args(hint)
    types = get_args(annotated) or (annotated,)
    return replace(column, name=name, type=types[0])
