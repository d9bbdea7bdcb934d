"""The record of what was planted: only scoring opens it, never an attack."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from canaries.documents import (
    check_fields,
    pattern_of,
    read_document,
    spaces_from_json,
    spaces_to_json,
    words_of,
    write_document,
)
from canaries.drawing import generator
from canaries.patterns import Pattern, compile_pattern
from canaries.questions import Question
from canaries.spaces import CanaryError, SecretSpace

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
        secret: one word per slot.
        label: the intent that it was planted with.
        repetitions: how often it stands in the training split; 0 or more.
        valid_repetitions: how often it stands in the validation split; 0 or more.
        controls: secrets of the same space, distinct from each other and from `secret`.
        rewritten: what stands in the splits in place of its copies; None where they stand as they
            were planted.

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
    rewritten: tuple[str, ...] | None = None

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
        """The pattern, rebuilt from the template and the spaces."""
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
        spaces_to_json(canary.form for canary in self.canaries)

    @property
    def questions(self) -> tuple[Question, ...]:
        """What an attacker knows of each canary."""
        return tuple(Question(canary.id, canary.form, canary.label) for canary in self.canaries)

    def order(
        self, examples: int, split: Literal["train", "valid"] = "train"
    ) -> list[int | Canary]:
        """Return the places of a split: numbers of its examples in order, canaries at random.

        Args:
            examples: of the split, before planting.
            split: decides how often each canary stands in it.
        """
        copies = [
            canary
            for canary in self.canaries
            for _ in range(canary.repetitions if split == "train" else canary.valid_repetitions)
        ]
        total = examples + len(copies)
        rng = generator(self.seed, "places", split)
        taken = dict(zip(rng.permutation(total)[: len(copies)].tolist(), copies, strict=True))
        numbers = iter(range(examples))
        return [taken[place] if place in taken else next(numbers) for place in range(total)]

    def save(self, path: str | Path) -> Path:
        """Write the ledger as JSON, whole or not at all."""
        content = {
            "seed": self.seed,
            "spaces": spaces_to_json(canary.form for canary in self.canaries),
            "canaries": [
                {field: getattr(canary, field) for field in _CANARY_FIELDS}
                | {"spaces": [space.name for space in canary.spaces]}
                | ({} if canary.rewritten is None else {"rewritten": canary.rewritten})
                for canary in self.canaries
            ],
        }
        return write_document(path, "ledger", content)

    @classmethod
    def load(cls, path: str | Path) -> "Ledger":
        """Read a ledger that `save` wrote.

        Raises:
            CanaryError: when the file is not a ledger, is of another version, or contradicts
                itself.
            OSError: when it cannot be read.
        """
        document = read_document(path, "ledger")
        try:
            check_fields(document, "the ledger", {"seed": int, "spaces": dict, "canaries": list})
            spaces = spaces_from_json(document["spaces"])
            canaries = tuple(
                _canary(entry, number, spaces) for number, entry in enumerate(document["canaries"])
            )
            return cls(canaries, document["seed"])
        except CanaryError as error:
            raise CanaryError(f"{path}: {error}") from error


def _canary(entry: Any, number: int, spaces: Mapping[str, SecretSpace]) -> Canary:
    where = f"canary number {number}"
    check_fields(entry, where, _CANARY_FIELDS)
    named = dict.fromkeys(pattern_of(entry, where, spaces).slots)
    return Canary(
        **{field: entry[field] for field in _CANARY_FIELDS}
        | {
            "spaces": tuple(named),
            "secret": words_of(entry["secret"], f"the secret of {where}"),
            "controls": tuple(
                words_of(control, f"a control of {where}") for control in entry["controls"]
            ),
            "rewritten": None
            if entry.get("rewritten") is None
            else words_of(entry["rewritten"], f"rewritten of {where}"),
        }
    )
