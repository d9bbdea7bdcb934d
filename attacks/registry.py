"""Every attack by name, and how to change its objective or settings."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from attacks.attack import Attack
from attacks.errors import AttackError
from attacks.objectives import OBJECTIVES, Objective, get_objective
from attacks.ranker import RANKED
from attacks.recipes import ELMAHDY2022, GBDA2021, GCG2023, PARIKH2022
from attacks.search import Beam, Coordinate, Exhaustive, Gumbel, Random, Relaxed
from canaries.spaces import suggest

_LOSS = OBJECTIVES["loss"]

ATTACKS: Mapping[str, Attack] = MappingProxyType(
    {
        attack.name: attack
        for attack in (
            Attack("relaxed", _LOSS, Relaxed()),
            Attack("gumbel", _LOSS, Gumbel()),
            Attack("coordinate", _LOSS, Coordinate()),
            Attack("beam", _LOSS, Beam()),
            Attack("exhaustive", _LOSS, Exhaustive()),
            Attack("random", _LOSS, Random()),
            PARIKH2022,
            ELMAHDY2022,
            GBDA2021,
            GCG2023,
        )
    }
)


def get_attack(name: str, *, objective: str | Objective | None = None, **overrides: Any) -> Attack:
    """Return an attack, with another objective or other settings of its search if given.

    Args:
        name: a key of `ATTACKS`.
        objective: replaces the attack's own.
        overrides: settings of the search, such as `restarts=32`.

    Raises:
        AttackError: an unknown name, objective or setting, or a setting out of range.
    """
    if name not in ATTACKS:
        names = [*ATTACKS, *RANKED]
        raise AttackError(
            f"unknown attack {name!r}{suggest(name, names)}: use one of {', '.join(names)}"
        )
    attack = ATTACKS[name]
    known = [field.name for field in fields(attack.search)]  # type: ignore[arg-type]
    for setting in overrides:
        if setting not in known:
            raise AttackError(
                f"attack {name!r} has no setting {setting!r}{suggest(setting, known)}: "
                + (f"use {', '.join(known)}" if known else "it has none")
            )
    return replace(
        attack,
        objective=attack.objective if objective is None else get_objective(objective),
        search=replace(attack.search, **overrides),  # type: ignore[type-var]
    )
