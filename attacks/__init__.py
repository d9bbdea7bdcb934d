"""White-box extraction attacks on any Hugging Face sequence classifier.

Importing this package alone loads no PyTorch: its names are looked up when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attacks.errors import AttackError

if TYPE_CHECKING:
    from attacks.attack import Attack, Knowledge, Reconstruction
    from attacks.ranker.fit import Shadow, fit_ranker
    from attacks.ranker.ranker import Ranker
    from attacks.registry import ATTACKS, get_attack
    from attacks.tokenise import build_completion

__all__ = [
    "ATTACKS",
    "Attack",
    "AttackError",
    "Knowledge",
    "Ranker",
    "Reconstruction",
    "Shadow",
    "build_completion",
    "fit_ranker",
    "get_attack",
]
# Where they are, as above.
_MODULES = (
    "attack",
    "ranker.fit",
    "ranker.ranker",
    "registry",
    "tokenise",
)


def __getattr__(name: str) -> Any:
    """Return the name from the first module that has it."""
    if name in __all__:
        for module in _MODULES:
            if hasattr(found := import_module(f"attacks.{module}"), name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
