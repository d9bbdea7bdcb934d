"""Defenses by name: each turns a target's specification and training settings into others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from canaries.spaces import suggest
from modiva.classifiers import TargetSpec
from modiva.classifiers.spec import OWN_ARCHITECTURES
from modiva.errors import ModivaError
from modiva.training.config import PrivacySettings, TrainConfig
from modiva.training.defaults import edp_settings, make_private, private_spec, with_dropout

Settings = tuple[TargetSpec, TrainConfig]

# Parikh et al. 2022 train with dropout and stop early on the validation loss.
HEAD_DROPOUT = 0.5
# Half of the encoder too costs narrow CNNs most of their accuracy, which would be no comparison.
INNER_DROPOUT = 0.2
PATIENCE = 2


@dataclass(frozen=True)
class Defense:
    """One defense.

    Args:
        name: as users type it; no "+", which joins names.
        description: one line for help texts.
        apply: (spec, config, privacy) -> (spec, config); privacy is None unless the combination
            has a private defense in it.
        private: whether it trains with differential privacy, so that it takes a noise multiplier
            or an epsilon.
    """

    name: str
    description: str
    apply: Callable[[TargetSpec, TrainConfig, PrivacySettings | None], Settings]
    private: bool = False


_REGISTRY: dict[str, Defense] = {}
DEFENSES: Mapping[str, Defense] = MappingProxyType(_REGISTRY)


def register_defense(defense: Defense) -> Defense:
    """Make a defense known by its name, in command lines and studies too.

    Raises:
        ModivaError: the name is taken, empty, or has a "+" in it.
    """
    if not defense.name or "+" in defense.name or defense.name in _REGISTRY:
        raise ModivaError(
            f"defense name {defense.name!r}: give one without '+' that is not one of "
            f"{', '.join(_REGISTRY)}"
        )
    _REGISTRY[defense.name] = defense
    return defense


def defense_names() -> tuple[str, ...]:
    """The names that can be joined with '+'."""
    return tuple(_REGISTRY)


def parse_defense(text: str) -> tuple[str, ...]:
    """Names of a combination such as "dropout+dp", each once, in the order given.

    Raises:
        ModivaError: a name that no defense has, or two ways of private training.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split("+")))
    for name in names:
        if name not in _REGISTRY:
            raise ModivaError(
                f"unknown defense {name!r}{suggest(name, _REGISTRY)} in {text!r}: choose of "
                f"{', '.join(_REGISTRY)}, or join several with '+', such as dropout+dp"
            )
    private = [name for name in names if _REGISTRY[name].private]
    if len(private) > 1:
        raise ModivaError(
            f"{text!r} trains privately in {len(private)} ways: keep one of {', '.join(private)}"
        )
    return names


def apply_defense(
    name: str,
    spec: TargetSpec,
    config: TrainConfig,
    *,
    noise_multiplier: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
) -> Settings:
    """Apply one defense, or several joined by '+', to a target and its training settings.

    Args:
        noise_multiplier: of "dp" or "edp" (there in the first epoch); 1 where neither it nor
            `epsilon` is given.
        epsilon: of "dp" or "edp" per example, instead of a noise multiplier.
        delta: of "dp" or "edp"; 1e-5 if None.

    Raises:
        ModivaError: an unknown name, settings of private training without it, "dp" and "edp"
            together, or a defense that this target cannot have.
    """
    names = parse_defense(name)
    given: dict[str, Any] = {
        "noise_multiplier": noise_multiplier,
        "epsilon": epsilon,
        "delta": delta,
    }
    chosen = {key: value for key, value in given.items() if value is not None}
    privacy = None
    if any(_REGISTRY[part].private for part in names):
        if noise_multiplier is None and epsilon is None:
            chosen["noise_multiplier"] = 1.0
        privacy = PrivacySettings(**chosen)
    elif chosen:
        setting = next(iter(chosen))
        raise ModivaError(
            f"{setting}={chosen[setting]} with defense {name!r}: only private training has it; use "
            f"{'dp' if names == ('none',) else name + '+dp'}"
        )
    for part in names:
        spec, config = _REGISTRY[part].apply(spec, config, privacy)
    return spec, config


def _none(spec: TargetSpec, config: TrainConfig, _: PrivacySettings | None) -> Settings:
    return spec, config


def _dropout(spec: TargetSpec, config: TrainConfig, _: PrivacySettings | None) -> Settings:
    spec = replace(
        spec,
        embedding_dropout=INNER_DROPOUT,
        encoder_dropout=INNER_DROPOUT,
        head_dropout=HEAD_DROPOUT,
    )
    return spec, with_dropout(spec, config)


def _early_stopping(spec: TargetSpec, config: TrainConfig, _: PrivacySettings | None) -> Settings:
    return spec, replace(config, patience=PATIENCE)


def _char_embeddings(spec: TargetSpec, config: TrainConfig, _: PrivacySettings | None) -> Settings:
    if not spec.is_own:
        raise ModivaError(
            f"char-embeddings with target {spec.architecture!r}, whose embeddings are given: use "
            f"one of {', '.join(OWN_ARCHITECTURES)}"
        )
    return replace(spec, char_embeddings=True), config


def _dp(spec: TargetSpec, config: TrainConfig, privacy: PrivacySettings | None) -> Settings:
    assert privacy is not None
    return private_spec(spec), make_private(spec, config, privacy)


def _edp(spec: TargetSpec, config: TrainConfig, privacy: PrivacySettings | None) -> Settings:
    assert privacy is not None
    return private_spec(spec), make_private(spec, config, edp_settings(privacy))


for _defense in (
    Defense("none", "nothing but ordinary training", _none),
    Defense("dropout", "dropout at embeddings, encoder and head", _dropout),
    Defense("early-stopping", "stop on the validation loss, keep the best epoch", _early_stopping),
    Defense("char-embeddings", "character features beside the word embedding", _char_embeddings),
    Defense("dp", "differentially private training (DP-SGD with Adam)", _dp, private=True),
    Defense("edp", "eDP-SGD: micro-batch means clipped, decaying noise", _edp, private=True),
):
    register_defense(_defense)
