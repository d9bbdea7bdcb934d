"""From a condition to the settings of its training: the defaults, then what was chosen."""

from dataclasses import replace
from typing import Any

from modiva.classifiers import TargetSpec, parse_target
from modiva.condition import Condition
from modiva.handling import Federated
from modiva.training.config import TrainConfig
from modiva.training.defaults import (
    federated_settings,
    head_only,
    ordinary_settings,
    private_settings,
)
from modiva.training.defenses import parse_defense


def resolve(condition: Condition, **run: Any) -> tuple[TargetSpec, TrainConfig]:
    """Resolve a condition into the specification and training settings of its targets.

    The defaults of the target are changed by its defenses and by private training; what the
    condition gives replaces them, whatever it is.

    Args:
        condition: of the target.
        run: further fields of `TrainConfig` (seed, order_seed, device, precision).

    Raises:
        ModivaError: an unknown target or defense, or a defense that this target cannot have.
    """
    spec = replace(
        parse_target(condition.target, condition.size),
        word_vectors=condition.word_vectors,
        freeze_embeddings=condition.freeze_embeddings,
    )
    settings = ordinary_settings(spec)
    for defense in parse_defense(condition.defense):
        spec, settings = defense.apply(spec, settings)
    if condition.privacy is not None:
        part = settings.get("part")
        settings |= private_settings(spec, condition.privacy, condition.batch_size, part)
        settings["privacy"] = replace(settings["privacy"], public_size=condition.public_size)
        if not spec.is_own and part is None:
            spec = head_only(spec)
    if isinstance(condition.training, Federated):
        if condition.training.private and not spec.is_own:
            spec = head_only(spec)
        settings = federated_settings(spec)
    chosen = {
        name: value
        for name in ("epochs", "learning_rate", "batch_size")
        if (value := getattr(condition, name)) is not None
    }
    return spec, TrainConfig(**{**settings, **chosen, **run})
