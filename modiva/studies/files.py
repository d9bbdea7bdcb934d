"""A study as a file: YAML whose keys are the settings of `modiva audit`."""

import types
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from modiva.errors import ModivaError
from modiva.studies.spec import AuditSpec

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def load_study(path: Path) -> AuditSpec:
    """Read a study; a setting that takes several values takes a list or a single one.

        corpus: [snips, hwu64]
        target: cnn
        repetitions: [1, 10, 100]

    Raises:
        ModivaError: not YAML, not a mapping, an unknown setting, or a value of another type;
            and whatever `AuditSpec` refuses.
        OSError: the file cannot be read.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModivaError(f"{path} is not a YAML file: {error}") from error
    hints = get_type_hints(AuditSpec)
    if not isinstance(content, dict) or not content:
        raise ModivaError(f"{path} must map settings to values: {', '.join(hints)}")
    for name in content:
        if name not in hints:
            raise ModivaError(f"{path} has the unknown setting {name!r}: use {', '.join(hints)}")
    return AuditSpec(
        **{name: _value(path, name, value, hints[name]) for name, value in content.items()}
    )


def _value(path: Path, name: str, value: Any, hint: Any) -> Any:
    """`value` as a value of type `hint`: a single one, or a tuple of them."""
    if get_origin(hint) is tuple:
        values = value if isinstance(value, list) else [value]
        return tuple(_scalar(path, name, each, get_args(hint)[0]) for each in values)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(kind for kind in get_args(hint) if kind is not types.NoneType)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise ModivaError(f"{path}: {name} is {value!r}; use one of {', '.join(get_args(hint))}")
    return _scalar(path, name, value, hint)


def _scalar(path: Path, name: str, value: Any, kind: type) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    # Not isinstance: YAML's yes and no would pass as the numbers 1 and 0.
    if type(value) is not kind:
        raise ModivaError(f"{path}: {name} holds {value!r}, which is not {_WORDS[kind]}")
    return value
