"""The own architectures by name: one line here makes one a target everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from modiva.errors import ModivaError

if TYPE_CHECKING:
    from modiva.classifiers.base import TargetClassifier

_registered: dict[str, type[TargetClassifier]] = {}
OWN_ARCHITECTURES: Mapping[str, type[TargetClassifier]] = MappingProxyType(_registered)


def register_architecture(name: str, model: type[TargetClassifier]) -> None:
    """Make `model` the target `name`, which transformers' Auto classes load too.

    Args:
        name: what `--target` takes; its configuration's `model_type` is "modiva-NAME".
        model: the class; its `config_class` is built from a `TargetSpec`.

    Raises:
        ModivaError: a name that is taken, or a `model_type` that is not of that name.
    """
    config = model.config_class
    if _registered.get(name, model) is not model:
        raise ModivaError(f"architecture {name!r} is registered already: take another name")
    if config.model_type != f"modiva-{name}":
        raise ModivaError(
            f"model_type of {config.__name__} is {config.model_type!r}: for the architecture "
            f"{name!r} it is 'modiva-{name}'"
        )
    _registered[name] = model
    AutoConfig.register(config.model_type, config, exist_ok=True)
    AutoModelForSequenceClassification.register(config, model, exist_ok=True)
    AutoTokenizer.register(config, fast_tokenizer_class=PreTrainedTokenizerFast, exist_ok=True)
