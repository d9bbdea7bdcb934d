"""Defenses by name: each changes a target's specification and its default training settings.

Private training is no defense of this list: it is an axis of its own (`modiva.condition.Privacy`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from canaries.spaces import suggest
from modiva.classifiers import TargetSpec
from modiva.condition import METHODS, NONE
from modiva.errors import ModivaError
from modiva.training.defaults import HEAD_ONLY, PARTS, Settings, head_only
from modiva.training.tuning import Part

# Parikh et al. 2022 train with dropout and stop early on the validation loss.
HEAD_DROPOUT = 0.5
# Half of the encoder too costs narrow CNNs most of their accuracy, which would be no comparison.
INNER_DROPOUT = 0.2
DROPOUT_EPOCHS = 2
PATIENCE = 2


@dataclass(frozen=True)
class Defense:
    """One defense.

    Args:
        name: as users type it; no "+", which joins names.
        description: one line for help texts.
        apply: (spec, default settings) -> (spec, settings); settings are fields of `TrainConfig`,
            and those that a user chose replace them afterwards.
    """

    name: str
    description: str
    apply: Callable[[TargetSpec, Settings], tuple[TargetSpec, Settings]]


_REGISTRY: dict[str, Defense] = {}
DEFENSES: Mapping[str, Defense] = MappingProxyType(_REGISTRY)


def register_defense(defense: Defense) -> Defense:
    """Register a defense by name, for command lines and studies too.

    Raises:
        ModivaError: the name is taken, empty, or has a "+" in it.
    """
    if not defense.name or "+" in defense.name or defense.name in (*_REGISTRY, *METHODS):
        raise ModivaError(
            f"defense name {defense.name!r}: give one without '+' that is not one of "
            f"{', '.join((*_REGISTRY, *METHODS))}"
        )
    _REGISTRY[defense.name] = defense
    return defense


def parse_defense(text: str) -> tuple[Defense, ...]:
    """Return the defenses of a combination such as "dropout+early-stopping", each once, in order.

    Raises:
        ModivaError: a name that no defense has.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split("+")))
    for name in names:
        if name not in _REGISTRY:
            raise ModivaError(
                f"unknown defense {name!r}{suggest(name, _REGISTRY)} in {text!r}: choose of "
                f"{', '.join((*_REGISTRY, *METHODS))}, or join several with '+', such as dropout+dp"
            )
    return tuple(_REGISTRY[name] for name in names)


def _dropout(spec: TargetSpec, settings: Settings) -> tuple[TargetSpec, Settings]:
    spec = replace(
        spec,
        embedding_dropout=INNER_DROPOUT,
        encoder_dropout=INNER_DROPOUT,
        head_dropout=HEAD_DROPOUT,
    )
    return spec, {**settings, "epochs": DROPOUT_EPOCHS * settings["epochs"]}


def _early_stopping(spec: TargetSpec, settings: Settings) -> tuple[TargetSpec, Settings]:
    return spec, {**settings, "patience": PATIENCE}


def _char_embeddings(spec: TargetSpec, settings: Settings) -> tuple[TargetSpec, Settings]:
    if not spec.is_own:
        raise ModivaError(
            f"char-embeddings with target {spec.architecture!r}, whose embeddings are given: use "
            "an architecture of our own, such as cnn or lstm"
        )
    return replace(spec, char_embeddings=True), settings


def _head_only(spec: TargetSpec, settings: Settings) -> tuple[TargetSpec, Settings]:
    _check_pretrained("head-only", spec)
    return head_only(spec), settings | HEAD_ONLY


def _part(part: Part) -> Callable[[TargetSpec, Settings], tuple[TargetSpec, Settings]]:
    """Return the defense that trains a part of a pretrained target."""

    def apply(spec: TargetSpec, settings: Settings) -> tuple[TargetSpec, Settings]:
        _check_pretrained(part, spec)
        return spec, settings | {"part": part, **PARTS[part]}

    return apply


def _check_pretrained(name: str, spec: TargetSpec) -> None:
    if spec.is_own:
        raise ModivaError(
            f"{name} with target {spec.architecture!r}, of which all weights start at random: it "
            "is for pretrained targets, such as minilm"
        )


for _defense in (
    Defense(NONE, "nothing but ordinary training", lambda spec, settings: (spec, settings)),
    Defense("dropout", "dropout at embeddings, encoder and head", _dropout),
    Defense("early-stopping", "stop on the validation loss, keep the best epoch", _early_stopping),
    Defense("char-embeddings", "character features beside the word embedding", _char_embeddings),
    Defense("head-only", "of a pretrained target, train a linear head alone", _head_only),
    Defense("last-layers", "of a pretrained target, train two layers", _part("last-layers")),
    Defense("lora", "of a pretrained target, train low-rank adapters", _part("lora")),
    Defense("all-layers", "of a pretrained target, train all, also privately", _part("all")),
):
    register_defense(_defense)
