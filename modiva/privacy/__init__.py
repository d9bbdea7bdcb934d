"""Differentially private training: exact per-example clipping, its plan and its accounting.

Plans, accounting and bounds do not import PyTorch; what clips and draws is imported when used.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modiva.privacy.bounds import Bounds
from modiva.privacy.calibration import calibrate, least_noise
from modiva.privacy.plan import (
    EPOCHS,
    PrivacyPlan,
    check_delta,
    sampling_rate_of,
    steps_an_epoch,
)

if TYPE_CHECKING:
    from modiva.privacy.clipper import ClipperFactory, Clipping, Microbatches
    from modiva.privacy.methods import CLIPPERS
    from modiva.privacy.sampling import add_noise_, poisson_batches

_WITH_TORCH = MappingProxyType(
    {
        "CLIPPERS": "methods",
        "ClipperFactory": "clipper",
        "Clipping": "clipper",
        "Microbatches": "clipper",
        "add_noise_": "sampling",
        "poisson_batches": "sampling",
    }
)

__all__ = [
    "CLIPPERS",
    "EPOCHS",
    "Bounds",
    "ClipperFactory",
    "Clipping",
    "Microbatches",
    "PrivacyPlan",
    "add_noise_",
    "calibrate",
    "check_delta",
    "least_noise",
    "poisson_batches",
    "sampling_rate_of",
    "steps_an_epoch",
]


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"modiva.privacy.{_WITH_TORCH[name]}"), name)
