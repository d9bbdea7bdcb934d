"""Training settings that work, by architecture: what a user who chooses nothing gets.

Measured on SNIPS and HWU64 with 1,000-1,500 training sentences and with the full training splits;
private settings at noise multiplier 1.
"""

from dataclasses import replace
from typing import Any

from modiva.classifiers import TargetSpec, parse_target
from modiva.errors import ModivaError
from modiva.training.config import Microbatches, PrivacySettings, TrainConfig

# Targets trained from scratch: the wide ones want smaller steps.
OWN_EPOCHS = 12
DROPOUT_EPOCHS = 2
NARROW, NARROW_RATE, WIDE_RATE = 50, 1e-2, 3e-3
PRETRAINED = TrainConfig(epochs=8, learning_rate=1e-4)
# A private model needs many large noisy steps.
PRIVATE_OWN = TrainConfig(epochs=40, learning_rate=5e-3)
PRIVATE_RATES = {"cnn": 1e-2, "lstm": 1e-2}
# Of a pretrained target the head alone is trained privately (`private_spec`).
PRIVATE_PRETRAINED = TrainConfig(epochs=40, learning_rate=3e-3)
# eDP-SGD: halves the noise in 34 epochs. Faster decay costs epsilon in the last epochs: at 0.95 an
# epoch, 40 epochs end with an eighth of the noise.
EDP_NOISE_DECAY = 0.98


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
    return replace(_ordinary(spec), **given)


def with_dropout(spec: TargetSpec, config: TrainConfig) -> TrainConfig:
    """`config` with more epochs, which dropout needs; epochs that a caller chose stay."""
    if config.epochs != _ordinary(spec).epochs:
        return config
    return replace(config, epochs=DROPOUT_EPOCHS * config.epochs)


def make_private(spec: TargetSpec, config: TrainConfig, privacy: PrivacySettings) -> TrainConfig:
    """`config` with `privacy`; epochs and learning rate become the private defaults.

    Only those that have the ordinary default's value do: what a caller chose stays as chosen.
    """
    ordinary = _ordinary(spec)
    private = _private(spec)
    changes: dict[str, Any] = {"privacy": privacy}
    if config.epochs in (ordinary.epochs, with_dropout(spec, ordinary).epochs):
        changes["epochs"] = private.epochs
    if config.learning_rate == ordinary.learning_rate:
        changes["learning_rate"] = private.learning_rate
    return replace(config, **changes)


def private_spec(spec: TargetSpec) -> TargetSpec:
    """`spec` as it is trained privately: of a pretrained target the head alone, undropped.

    Noise on 22 million weights costs a small corpus more than their training is worth: on HWU64 the
    frozen encoder of MiniLM keeps nearly all of its accuracy at an epsilon of 8.
    """
    if spec.is_own:
        return spec
    return replace(
        spec, freeze_encoder=True, embedding_dropout=0.0, encoder_dropout=0.0, head_dropout=0.0
    )


def edp_settings(privacy: PrivacySettings) -> PrivacySettings:
    """`privacy` by eDP-SGD: micro-batches, decaying noise, and clip norms that need no choice."""
    return replace(
        privacy,
        microbatches=Microbatches(),
        noise_decay=EDP_NOISE_DECAY,
        clipping="automatic",
    )


def _ordinary(spec: TargetSpec) -> TrainConfig:
    if not spec.is_own:
        return PRETRAINED
    rate = NARROW_RATE if spec.hidden_size <= NARROW else WIDE_RATE
    return TrainConfig(epochs=OWN_EPOCHS, learning_rate=rate)


def _private(spec: TargetSpec) -> TrainConfig:
    if not spec.is_own:
        return PRIVATE_PRETRAINED
    rate = PRIVATE_RATES.get(spec.architecture, PRIVATE_OWN.learning_rate)
    return replace(PRIVATE_OWN, learning_rate=rate)
