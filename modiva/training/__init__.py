"""Training: one classifier or a stack of them, privately or not, with defenses by name."""

from modiva.training.checkpoint import save_checkpoint
from modiva.training.config import (
    EpochRecord,
    Microbatches,
    PrivacySettings,
    Splits,
    TrainConfig,
    TrainResult,
)
from modiva.training.defaults import default_config
from modiva.training.defenses import (
    DEFENSES,
    Defense,
    apply_defense,
    defense_names,
    parse_defense,
    register_defense,
)
from modiva.training.loop import train
from modiva.training.stack import train_stack

__all__ = [
    "DEFENSES",
    "Defense",
    "EpochRecord",
    "Microbatches",
    "PrivacySettings",
    "Splits",
    "TrainConfig",
    "TrainResult",
    "apply_defense",
    "default_config",
    "defense_names",
    "parse_defense",
    "register_defense",
    "save_checkpoint",
    "train",
    "train_stack",
]
