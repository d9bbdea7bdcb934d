"""Training settings that work, by architecture: what a user who chooses nothing gets.

Measured on SNIPS and HWU64 with 1,000-1,500 training sentences and with the full training splits;
private settings at noise multiplier 1.
"""

from dataclasses import replace
from typing import Any

from modiva.classifiers import TargetSpec, parse_target
from modiva.errors import ModivaError
from modiva.training.config import PrivacySettings, TrainConfig

PRETRAINED = TrainConfig(epochs=8, batch_size=32, learning_rate=1e-4)
ORDINARY = {
    "cnn": TrainConfig(epochs=12, learning_rate=5e-3),
    "lstm": TrainConfig(epochs=12, learning_rate=5e-3),
    "transformer": TrainConfig(epochs=15, learning_rate=3e-3),
}
# A private model needs many large noisy steps: epochs and learning rate go up together.
PRIVATE_PRETRAINED = TrainConfig(epochs=30, learning_rate=5e-4)
PRIVATE = {
    "cnn": TrainConfig(epochs=40, learning_rate=1e-2),
    "lstm": TrainConfig(epochs=40, learning_rate=1e-2),
    "transformer": TrainConfig(epochs=40, learning_rate=5e-3),
}


def default_config(target: str | TargetSpec, size: str = "full", **settings: Any) -> TrainConfig:
    """The default training settings of a target, with the given ones in their place.

    Args:
        target: a target's name, with `size` as for `parse_target`, or its specification.
        settings: fields of `TrainConfig`; those that are None keep their default, except
            `patience` and `privacy`, whose default is None anyway.

    Raises:
        ModivaError: an unknown target or setting, or a value out of range.
    """
    spec = parse_target(target, size) if isinstance(target, str) else target  # type: ignore[arg-type]
    given = {name: value for name, value in settings.items() if value is not None}
    unknown = sorted(set(given) - set(TrainConfig.__dataclass_fields__))
    if unknown:
        raise ModivaError(
            f"unknown training setting {unknown[0]!r}: there are "
            f"{', '.join(TrainConfig.__dataclass_fields__)}"
        )
    return replace(ORDINARY.get(spec.architecture, PRETRAINED), **given)


def make_private(spec: TargetSpec, config: TrainConfig, privacy: PrivacySettings) -> TrainConfig:
    """`config` with `privacy`; epochs and learning rate become the private defaults.

    Only those that have the ordinary default's value do: what a caller chose stays as chosen.
    """
    ordinary = ORDINARY.get(spec.architecture, PRETRAINED)
    private = PRIVATE.get(spec.architecture, PRIVATE_PRETRAINED)
    changes = {
        name: getattr(private, name)
        for name in ("epochs", "learning_rate")
        if getattr(config, name) == getattr(ordinary, name)
    }
    return replace(config, privacy=privacy, **changes)
