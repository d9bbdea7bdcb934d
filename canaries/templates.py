"""The template language, `call {digit*4}`, and the catalog of templates written in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from canaries.spaces import CanaryError

MAX_SLOTS = 64

# call, pin and color are the patterns of Parikh, Dupuy and Gupta (ACL 2022).
CATALOG: Mapping[str, str] = MappingProxyType(
    {
        "call": "call {digit*4}",
        "pin": "my pin code is {digit*4}",
        "color": "color {color*4}",
        "phone": "my phone number is {digit*10}",
        "zip": "my zip code is {digit*5}",
        "date": "my birthday is {month} {digit*2}",
        "street": "i live at {digit*3} {street} street",
        "passphrase": "my passphrase is {word*6}",
    }
)

_TOKEN = re.compile(r"\{[^{}]*\}|[^\s{}]+|[{}]")
_SLOT = re.compile(r"\s*([^\s*:{}]+)\s*(?:\*\s*([0-9]{1,6})\s*)?")


@dataclass(frozen=True)
class Slots:
    """`count` slots in a row of the space called `space`."""

    space: str
    count: int

    def __str__(self) -> str:
        return "{" + self.space + (f"*{self.count}" if self.count > 1 else "") + "}"


def parse_slot(text: str) -> Slots:
    """Read `digit` or `digit*4`; CanaryError says what is wrong with anything else."""
    match = _SLOT.fullmatch(text)
    if match is None:
        raise CanaryError(
            f"{text!r} is not a slot: write the name of a space, with '*' and a number to repeat "
            "it, such as digit*4"
        )
    count = int(match[2] or 1)
    if not 1 <= count <= MAX_SLOTS:
        raise CanaryError(
            f"slot {text!r} is repeated {count} times: use a number from 1 to {MAX_SLOTS}"
        )
    return Slots(match[1], count)


def parse_template(template: str) -> tuple[str | Slots, ...]:
    """Split a template into literal words and slots, in order.

    Raises:
        CanaryError: for a template without slots, with stray braces, with a slot that touches a
            word, or with more than `MAX_SLOTS` slots.
    """
    parts: list[str | Slots] = []
    end = -1
    for match in _TOKEN.finditer(template):
        token = match[0]
        if token in ("{", "}"):
            raise CanaryError(
                f"template {template!r} has an unmatched {token!r}: write a slot as {{digit*4}}"
            )
        if match.start() == end:
            raise CanaryError(
                f"a slot of template {template!r} touches {token!r}: every slot holds whole "
                "words, so put a space on both sides of it"
            )
        end = match.end()
        parts.append(parse_slot(token[1:-1]) if token.startswith("{") else token)
    length = sum(part.count for part in parts if isinstance(part, Slots))
    if length == 0:
        raise CanaryError(
            f"template {template!r} has no slot, so there is no secret in it: add one, such as "
            "'my code is {digit*4}'"
        )
    if length > MAX_SLOTS:
        raise CanaryError(
            f"template {template!r} has {length} slots: use at most {MAX_SLOTS} in all"
        )
    return tuple(parts)


def resize_template(template: str, length: int) -> str:
    """Return `template` with its one repeated slot repeated `length` times.

    Raises:
        CanaryError: when the template has no repeated slot or several of them.
    """
    parts = parse_template(template)
    slots = [part for part in parts if isinstance(part, Slots)]
    repeated = slots if len(slots) == 1 else [slot for slot in slots if slot.count > 1]
    if len(repeated) != 1:
        raise CanaryError(
            f"a length does not fit template {template!r}, which repeats {len(repeated)} slots: "
            "write the template out with the lengths that you want"
        )
    if not 1 <= length <= MAX_SLOTS:
        raise CanaryError(
            f"length {length} does not fit template {template!r}: use 1 to {MAX_SLOTS}"
        )
    resized = (Slots(part.space, length) if part is repeated[0] else part for part in parts)
    return " ".join(map(str, resized))
