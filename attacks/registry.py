"""Every attack by name, and how to change its objective or settings."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from attacks.attack import Attack, SearchAttack
from attacks.errors import AttackError
from attacks.objectives import OBJECTIVES, Objective, get_objective
from attacks.ranker.attack import RANKED_ATTACKS
from attacks.ranker.traced import TRACED_ATTACKS
from attacks.recipes.elmahdy2022 import ELMAHDY2022
from attacks.recipes.gbda2021 import GBDA2021
from attacks.recipes.gcg2023 import GCG2023
from attacks.recipes.parikh2022 import PARIKH2022
from attacks.search.beam import Beam
from attacks.search.coordinate import Coordinate
from attacks.search.exhaustive import Exhaustive
from attacks.search.gumbel import Gumbel
from attacks.search.random import Random
from attacks.search.relaxed import Relaxed
from canaries.spaces import suggest

_LOSS = OBJECTIVES["loss"]
_ALL: tuple[Attack, ...] = (
    SearchAttack("relaxed", _LOSS, Relaxed()),
    SearchAttack("gumbel", _LOSS, Gumbel()),
    SearchAttack("coordinate", _LOSS, Coordinate()),
    SearchAttack("beam", _LOSS, Beam()),
    SearchAttack("exhaustive", _LOSS, Exhaustive()),
    SearchAttack("random", _LOSS, Random()),
    PARIKH2022,
    ELMAHDY2022,
    GBDA2021,
    GCG2023,
    *RANKED_ATTACKS,
    *TRACED_ATTACKS,
)
ATTACKS: Mapping[str, Attack] = MappingProxyType({attack.name: attack for attack in _ALL})


def get_attack(name: str, *, objective: str | Objective | None = None, **overrides: Any) -> Attack:
    """Return an attack, with another objective or other settings of its search if given.

    Args:
        name: a key of `ATTACKS`.
        objective: replaces the attack's own.
        overrides: settings of the search, such as `restarts=32`.

    Raises:
        AttackError: an unknown name, objective or setting, a setting out of range, or either of
            them for an attack that has none.
    """
    if name not in ATTACKS:
        raise AttackError(
            f"unknown attack {name!r}{suggest(name, ATTACKS)}: use one of {', '.join(ATTACKS)}"
        )
    attack = ATTACKS[name]
    if not isinstance(attack, SearchAttack):
        if objective is not None or overrides:
            given = [*overrides, *(["objective"] if objective is not None else [])]
            raise AttackError(
                f"attack {name} has no objective and no settings: leave {', '.join(given)} out"
            )
        return attack
    known = [field.name for field in fields(attack.search)]
    for setting in overrides:
        if setting not in known:
            raise AttackError(
                f"attack {name!r} has no setting {setting!r}{suggest(setting, known)}: "
                + (f"use {', '.join(known)}" if known else "it has none")
            )
    return replace(
        attack,
        objective=attack.objective if objective is None else get_objective(objective),
        search=replace(attack.search, **overrides),
    )


def audited_attack(name: str, objective: str) -> Attack:
    """Return an attack as audits run it: a search on `objective`, a recipe on the paper's own.

    Raises:
        AttackError: an unknown name or objective.
    """
    attack = get_attack(name)
    if attack.source or not isinstance(attack, SearchAttack):
        get_objective(objective)
        return attack
    return get_attack(name, objective=objective)
