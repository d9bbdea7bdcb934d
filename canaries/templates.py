"""The template language, `call {digit*4}`, and the catalog of templates written in it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from canaries.spaces import CanaryError

MAX_SLOTS = 64
GLUED = "glued"

# call, pin and color are the patterns of Parikh, Dupuy and Gupta (ACL 2022). NAME holds a secret as
# it is spoken, one word per slot; NAME-glued holds it as people write it.
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
        "email": "my email is {first-name} {digit*2} at {provider} dot com",
        "card": "my card number is {digit*16}",
        "name": "my name is {first-name} {last-name}",
        "call-glued": "call {digit*4:glued}",
        "pin-glued": "my pin code is {digit*4:glued}",
        "color-glued": "color {color}-{color}-{color}-{color}",
        "phone-glued": "my phone number is {digit*3:glued}-{digit*3:glued}-{digit*4:glued}",
        "zip-glued": "my zip code is {digit*5:glued}",
        "date-glued": "my birthday is {month} {digit*2:glued}",
        "street-glued": "i live at {digit*3:glued} {street} street",
        "passphrase-glued": "my passphrase is {word}-{word}-{word}-{word}-{word}-{word}",
        "email-glued": "my email is {first-name}{digit*2:glued}@{provider}.com",
        "card-glued": "my card number is {digit*4:glued} {digit*4:glued} {digit*4:glued} "
        "{digit*4:glued}",
        "name-glued": "my user name is {first-name}.{last-name}",
    }
)

_PIECE = re.compile(r"\{[^{}]*\}|[^{}]+|[{}]")
# A space is a name, a list a|b|c, or a list [a,b,c].
_SPACE = r"\[[^\[\]{}]*\]|[^\s*:{}\[\]]+(?:\s*\|\s*[^\s*:{}\[\]|]+)*"
_SLOT = re.compile(
    rf"\s*({_SPACE})\s*(?:\*\s*([0-9]{{1,6}})\s*)?(?::\s*([^\s:{{}}]+)\s*)?", re.UNICODE
)
_LISTED = re.compile(r"\[[^\[\]]*\]\S*|\S+")


@dataclass(frozen=True)
class Slots:
    """`count` slots in a row of the space called `space`, with spaces between or glued."""

    space: str
    count: int
    glued: bool = False

    def __str__(self) -> str:
        # Options with a mark of this language stand in brackets.
        listed = "[" + self.space.replace("|", ",") + "]" if set(" *:") & set(self.space) else ""
        times = f"*{self.count}" if self.count > 1 else ""
        glued = f":{GLUED}" if times and self.glued else ""
        return "{" + (listed or self.space) + times + glued + "}"


def parse_slot(text: str) -> Slots:
    """Read `digit`, `digit*4`, `digit*4:glued`, `red|green`, `[red,green]*4`.

    Raises:
        CanaryError: anything else; the message names what is wrong.
    """
    match = _SLOT.fullmatch(text)
    if match is None:
        raise CanaryError(
            f"{text!r} is not a slot: write the name of a space or a list such as red|green, with "
            "'*' and a number to repeat it, and ':glued' for no spaces between, such as digit*4 or "
            "digit*4:glued"
        )
    count = int(match[2] or 1)
    if not 1 <= count <= MAX_SLOTS:
        raise CanaryError(
            f"slot {text!r} is repeated {count} times: use a number from 1 to {MAX_SLOTS}"
        )
    if match[3] not in (None, GLUED):
        raise CanaryError(
            f"slot {text!r} ends in {':' + match[3]!r}: ':{GLUED}' is all that may stand there"
        )
    space = match[1]
    if space.startswith("["):
        space = "|".join(option.strip() for option in space[1:-1].split(","))
    elif "|" in space:
        space = "|".join(option.strip() for option in space.split("|"))
    return Slots(space, count, match[3] == GLUED)


def parse_slot_list(text: str) -> tuple[Slots, ...]:
    """Read slots with spaces between: "month digit*2", "[red, blue]*2 digit*4:glued"."""
    listed = tuple(parse_slot(slot) for slot in _LISTED.findall(text))
    if not listed:
        raise CanaryError("the list of slots is empty: give at least one, such as digit*4")
    return listed


def parse_template(template: str) -> tuple[str | Slots, ...]:
    """Split a template into literal text and slots, in order.

    Spaces count: text that touches a brace touches the secret. Several spaces are one, and those
    around the sentence are none.

    Raises:
        CanaryError: for a template without slots, with stray braces, or with more than
            `MAX_SLOTS` slots.
    """
    parts: list[str | Slots] = []
    for match in _PIECE.finditer(template.strip()):
        piece = match[0]
        if piece in ("{", "}"):
            raise CanaryError(
                f"template {template!r} has an unmatched {piece!r}: write a slot as {{digit*4}}"
            )
        if piece.startswith("{"):
            parts.append(parse_slot(piece[1:-1]))
        else:
            parts.append(re.sub(r"\s+", " ", piece))
    check_slots(parts, f"template {template!r}")
    return tuple(parts)


def check_slots(parts: Sequence[str | Slots], what: str) -> None:
    """Refuse parts without slots or with too many; `what` names them."""
    length = sum(part.count for part in parts if isinstance(part, Slots))
    if length == 0:
        raise CanaryError(
            f"{what} has no slot, so there is no secret in it: add one, such as "
            "'my code is {digit*4}'"
        )
    if length > MAX_SLOTS:
        raise CanaryError(f"{what} has {length} slots: use at most {MAX_SLOTS} in all")


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
    resized = (
        replace(part, count=length) if isinstance(part, Slots) and part is repeated[0] else part
        for part in parts
    )
    return "".join(map(str, resized))
