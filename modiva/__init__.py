"""What does this text classifier give away about the people it was trained on?

    planted = modiva.plant(sentences, "my pin code is {digit*4}", label="change_pin")
    target = modiva.train(planted)
    found = modiva.attack(target.model, target.tokenizer, planted.template, label="change_pin")
    planted.score(found)

`audit` does all of it for a grid of settings, and `expose` looks for what stands in the training
data anyway. Importing this package loads nothing that they use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modiva.version import __version__ as __version__

if TYPE_CHECKING:
    from modiva.api import CanaryCallback, attack, audit, expose, plant, train

__all__ = ["CanaryCallback", "attack", "audit", "expose", "plant", "train"]


def __getattr__(name: str) -> Any:
    """Import a function when it is first used."""
    if name in __all__:
        return getattr(import_module("modiva.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
