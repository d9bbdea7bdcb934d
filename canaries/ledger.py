"""The record of what was planted: only scoring opens it, never an attack."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from canaries.patterns import Pattern, compile_pattern
from canaries.reading import parse_json, quote
from canaries.spaces import CanaryError, SecretSpace

FORMAT = "canaries/ledger"
VERSION = 1

_CANARY_FIELDS: Mapping[str, type] = {
    "id": str,
    "pattern": str,
    "template": str,
    "spaces": list,
    "secret": list,
    "label": str,
    "repetitions": int,
    "valid_repetitions": int,
    "controls": list,
}


@dataclass(frozen=True)
class Canary:
    """One planted secret, and the controls that were drawn with it and never planted.

    Args:
        id: unique in its ledger, such as "call-0".
        pattern: the name of its pattern.
        template: the template of its pattern, such as "call {digit*4}".
        spaces: the spaces that the template names, each once.
        secret: one word a slot.
        label: the intent that it was planted with.
        repetitions: how often it stands in the training split; 0 or more.
        valid_repetitions: how often it stands in the validation split; 0 or more.
        controls: secrets of the same space, distinct from each other and from `secret`.

    Raises:
        CanaryError: when the fields contradict each other.
    """

    id: str
    pattern: str
    template: str
    spaces: tuple[SecretSpace, ...]
    secret: tuple[str, ...]
    label: str
    repetitions: int
    valid_repetitions: int
    controls: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for name in ("repetitions", "valid_repetitions"):
            if getattr(self, name) < 0:
                raise CanaryError(f"{name} of canary {self.id!r} is negative: use 0 or more")
        drawn = [self.form.index(secret) for secret in (self.secret, *self.controls)]
        if len(set(drawn)) < len(drawn):
            raise CanaryError(
                f"the secret and the controls of canary {self.id!r} are not distinct: a control "
                "is a secret that was never planted, and counts once"
            )

    @cached_property
    def form(self) -> Pattern:
        """The pattern, made again from the template and the spaces."""
        spaces = {space.name: space for space in self.spaces}
        return compile_pattern(self.pattern, self.template, spaces=spaces)

    @property
    def text(self) -> str:
        """The sentence that was planted."""
        return self.form.fill(self.secret)


@dataclass(frozen=True)
class Ledger:
    """What was planted in one corpus, in the order of the plantings.

    Args:
        canaries: with distinct ids; spaces of one name have the same options in all of them.
        seed: the seed of the planting.

    Raises:
        CanaryError: when ids or spaces clash.
    """

    canaries: tuple[Canary, ...]
    seed: int

    def __post_init__(self) -> None:
        ids = [canary.id for canary in self.canaries]
        if len(set(ids)) < len(ids):
            raise CanaryError(f"canary ids are not distinct: {', '.join(ids)}")
        self._spaces()

    def save(self, path: str | Path) -> Path:
        """Write the ledger as JSON, whole or not at all."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "seed": self.seed,
            "spaces": {name: list(space.options) for name, space in self._spaces().items()},
            "canaries": [
                {field: getattr(canary, field) for field in _CANARY_FIELDS}
                | {"spaces": [space.name for space in canary.spaces]}
                for canary in self.canaries
            ],
        }
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.iterdir():  # of a process that was killed
            pid = left.name.removeprefix(f".{path.name}.").removesuffix(".part")
            if left.name == f".{path.name}.{pid}.part" and pid.isdigit() and not _runs(int(pid)):
                left.unlink(missing_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("w", encoding="utf-8") as file:
                json.dump(document, file, ensure_ascii=False, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Ledger":
        """Read a ledger that `save` wrote.

        Raises:
            CanaryError: when the file is not a ledger, is of another version, or contradicts
                itself.
            OSError: when it cannot be read.
        """
        path = Path(path)
        try:
            document = parse_json(path.read_bytes())
        except ValueError as error:
            raise CanaryError(
                f"{path} is not a ledger: it is not JSON ({error}); plant again to write one"
            ) from error
        try:
            return cls._from_document(document)
        except CanaryError as error:
            raise CanaryError(f"{path}: {error}") from error

    @classmethod
    def _from_document(cls, document: Any) -> "Ledger":
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise CanaryError(f"this is not a ledger: its 'format' must be {FORMAT!r}")
        if document.get("version") != VERSION:
            raise CanaryError(
                f"this ledger has version {quote(document.get('version'))}, and version {VERSION} "
                "is what can be read here: plant again, or use the release that wrote it"
            )
        _check(document, "the ledger", {"seed": int, "spaces": dict, "canaries": list})
        spaces = {
            name: SecretSpace(name, _words(options, f"space {name!r}"))
            for name, options in document["spaces"].items()
        }
        return cls(
            tuple(
                _canary(entry, number, spaces) for number, entry in enumerate(document["canaries"])
            ),
            document["seed"],
        )

    def _spaces(self) -> dict[str, SecretSpace]:
        spaces: dict[str, SecretSpace] = {}
        for canary in self.canaries:
            for space in canary.spaces:
                if spaces.setdefault(space.name, space) != space:
                    raise CanaryError(
                        f"two different spaces are called {space.name!r}: rename one of them"
                    )
        return spaces


def _canary(entry: Any, number: int, spaces: Mapping[str, SecretSpace]) -> Canary:
    where = f"canary number {number}"
    _check(entry, where, _CANARY_FIELDS)
    names = _words(entry["spaces"], f"spaces of {where}")
    unknown = [name for name in names if name not in spaces]
    if unknown:
        raise CanaryError(f"{where} uses spaces that the ledger does not hold: {unknown}")
    return Canary(
        **{field: entry[field] for field in _CANARY_FIELDS}
        | {
            "spaces": tuple(spaces[name] for name in names),
            "secret": _words(entry["secret"], f"the secret of {where}"),
            "controls": tuple(
                _words(control, f"a control of {where}") for control in entry["controls"]
            ),
        }
    )


def _check(value: Any, where: str, fields: Mapping[str, type]) -> None:
    """Refuse a JSON object in which a field is missing or of another type."""
    if not isinstance(value, dict):
        raise CanaryError(f"{where} is {quote(value)}, which is not a JSON object")
    for field, kind in fields.items():
        # bool is an int in Python, and is none here.
        if not isinstance(value.get(field), kind) or isinstance(value[field], bool):
            raise CanaryError(
                f"{where} has {field} = {quote(value.get(field))}: it must be a JSON value of type "
                f"{kind.__name__}"
            )


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise CanaryError(f"{where} is {quote(value)}: it must be a list of words")
    return tuple(value)


def _runs(pid: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        return True
    return True
