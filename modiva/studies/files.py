"""A study as a file: YAML whose keys are the settings of `modiva audit`, or Python."""

import runpy
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from canaries.reading import quote, read_yaml, regular_size
from canaries.spaces import suggest
from modiva.errors import ModivaError
from modiva.studies.spec import AuditSpec, Study

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_SEVERAL = {"defaults", "grids"}


def load_study(source: Path | Mapping[str, Any]) -> Study:
    """Read a study from a file, or one grid from settings by name.

    A setting that takes several values takes a list or a single one:

        corpus: [snips, hwu64]
        target: cnn
        repetitions: [1, 10, 100]

    Several grids are a list under `grids`, over what they share under `defaults`. A file that
    ends in .py is run, as any program that its user names, and defines `study`.

    Raises:
        ModivaError: not YAML, not a mapping, an unknown setting, or a value of another type;
            and whatever `AuditSpec` refuses.
        OSError: the file cannot be read.
    """
    if isinstance(source, Mapping):
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in source.items()}
        return Study((_grid(Path("the audit"), lists),))
    path = Path(source)
    if path.suffix == ".py":
        return _from_python(path)
    try:
        content = read_yaml(path)
    except ValueError as error:
        raise ModivaError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ModivaError(f"{path} must map settings to values: {', '.join(_hints())}")
    if not _SEVERAL & set(content):
        return Study((_grid(path, content),))
    for name in content:
        if name not in _SEVERAL:
            raise ModivaError(
                f"{path}: {quote(name)} stands beside 'grids': move it under 'defaults', or into a "
                "grid"
            )
    shared, grids = content.get("defaults") or {}, content.get("grids")
    if not isinstance(grids, list) or not grids:
        raise ModivaError(f"{path}: 'grids' must be a list of grids, each with its settings")
    for number, settings in enumerate([shared, *grids]):
        if not isinstance(settings, dict):
            where = "defaults" if number == 0 else f"grid {number}"
            raise ModivaError(f"{path}: {where} must map settings to values, not {quote(settings)}")
    return Study(tuple(_grid(path, {**shared, **settings}) for settings in grids))


def _from_python(path: Path) -> Study:
    regular_size(path)
    found = runpy.run_path(str(path)).get("study")
    if isinstance(found, AuditSpec):
        return Study((found,))
    if not isinstance(found, Study):
        raise ModivaError(f"{path} must define study = Study(...) or AuditSpec(...)")
    return found


def _hints() -> dict[str, Any]:
    return get_type_hints(AuditSpec)


def _grid(path: Path, content: Mapping[Any, Any]) -> AuditSpec:
    hints = _hints()
    for name in content:
        if name not in hints:
            raise ModivaError(
                f"{path} has the unknown setting {quote(name)}{suggest(str(name), hints)}: use "
                f"{', '.join(hints)}"
            )
    return AuditSpec(
        **{name: _value(path, name, value, hints[name]) for name, value in content.items()}
    )


def _value(path: Path, name: str, value: Any, hint: Any) -> Any:
    """`value` as a value of type `hint`: a single one, or a tuple of them."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(kind for kind in get_args(hint) if kind is not types.NoneType)
    if get_origin(hint) is tuple:
        values = value if isinstance(value, list) else [value]
        kind = get_args(hint)[0]
        if not isinstance(kind, types.UnionType):
            return tuple(_scalar(path, name, each, kind) for each in values)
        # A number, or numbers joined by commas, one a pattern.
        return tuple(
            each if isinstance(each, str) else _scalar(path, name, each, get_args(kind)[0])
            for each in values
        )
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise ModivaError(
            f"{path}: {name} is {quote(value)}; use one of {', '.join(get_args(hint))}"
        )
    return _scalar(path, name, value, hint)


def _scalar(path: Path, name: str, value: Any, kind: type) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    # Not isinstance: YAML's yes and no would pass as the numbers 1 and 0.
    if type(value) is not kind:
        remedy = ": put it in quotes" if kind is str else ""
        raise ModivaError(
            f"{path}: {name} holds {quote(value)}, which is not {_WORDS[kind]}{remedy}"
        )
    return value
