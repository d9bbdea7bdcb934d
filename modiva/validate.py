"""Check settings by name: an error says the value and what is allowed."""

import math
from numbers import Real
from typing import TypeGuard

from modiva.errors import ModivaError


def require(valid: bool, name: str, value: object, allowed: str) -> None:
    """Raise unless `valid`.

    Args:
        valid: whether `value` is allowed.
        name: a field, such as "clip_norm", or a flag, such as "--clip-norm".
        value: what was given.
        allowed: what goes after "must be".

    Raises:
        ModivaError: it is not.
    """
    if not valid:
        given = f"{name} {value}" if name.startswith("--") else f"{name}={value!r}"
        raise ModivaError(f"{given}: must be {allowed}")


def at_least(settings: object, least: int, *names: str, flags: bool = False) -> None:
    """Raise unless the named fields are finite numbers from `least` on.

    Args:
        settings: a dataclass; a field that is None passes, and of a tuple every item is checked.
        least: the smallest number allowed.
        names: fields of `settings`.
        flags: users know the fields as flags of a command.

    Raises:
        ModivaError: a field is something else.
    """
    for name, value in _values(settings, names, flags):
        require(
            _number(value) and least <= value < math.inf,
            name,
            value,
            f"{least} or more{_finite(value)}",
        )


def positive(settings: object, *names: str, flags: bool = False) -> None:
    """Raise unless the named fields are finite numbers above 0; arguments as of `at_least`."""
    for name, value in _values(settings, names, flags):
        require(_number(value) and 0 < value < math.inf, name, value, f"above 0{_finite(value)}")


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real)  # numbers of NumPy too


def _values(settings: object, names: tuple[str, ...], flags: bool) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name in names:
        value = getattr(settings, name)
        spelled = f"--{name.replace('_', '-')}" if flags else name
        items = value if isinstance(value, tuple) else (value,)
        found += [(spelled, item) for item in items if item is not None]
    return found


def _finite(value: object) -> str:
    return " and finite" if isinstance(value, float) else ""
