"""Training settings that work, by architecture: what a user who chooses nothing gets.

Measured on SNIPS and HWU64 with 1,000-1,500 training sentences and with the full training splits;
private settings at noise multiplier 1.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modiva.classifiers import TargetSpec
from modiva.condition import Privacy
from modiva.privacy import EPOCHS, Microbatches
from modiva.training.config import PrivacySettings
from modiva.training.tuning import Part

Settings = dict[str, Any]  # fields of TrainConfig

# Targets trained from scratch: the wide ones need smaller steps.
OWN_EPOCHS = 12
NARROW, NARROW_RATE, WIDE_RATE = 50, 1e-2, 3e-3
PRETRAINED: Settings = {"epochs": 8, "learning_rate": 1e-4}
PRIVATE_RATE = 5e-3
PRIVATE_RATES = {"cnn": 1e-2, "lstm": 1e-2}
# A head alone costs little: the encoder runs once over the sentences.
HEAD_ONLY: Settings = {"epochs": 40, "learning_rate": 3e-3}
PARTS: Mapping[Part, Settings] = {
    "all": {}, "last-layers": {"learning_rate": 3e-4}, "lora": {"learning_rate": 2e-3}
}  # fmt: skip
PRIVATE_PARTS: Mapping[Part, float] = {"all": 5e-4, "last-layers": 1e-3, "lora": 2e-3}
# eDP-SGD: halves the noise in 34 epochs. Faster decay costs epsilon in the last epochs: at 0.95 an
# epoch, 40 epochs end with an eighth of the noise.
EDP_NOISE_DECAY = 0.98
# Of SGD by clients.
CLIENT_RATE, CLIENT_PRETRAINED_RATE = 0.3, 0.03


def ordinary_settings(spec: TargetSpec) -> Settings:
    """Return settings of training without privacy."""
    if not spec.is_own:
        return dict(PRETRAINED)
    rate = NARROW_RATE if spec.hidden_size <= NARROW else WIDE_RATE
    return {"epochs": OWN_EPOCHS, "learning_rate": rate}


def federated_settings(spec: TargetSpec) -> Settings:
    """Return settings of a client's training in one round: plain SGD."""
    rate = CLIENT_RATE if spec.is_own or spec.freeze_encoder else CLIENT_PRETRAINED_RATE
    return {"epochs": 1, "batch_size": 16, "learning_rate": rate}


def private_settings(
    spec: TargetSpec, privacy: Privacy, batch_size: int | None, part: Part | None = None
) -> Settings:
    """Return the settings of private training that replace ordinary ones.

    Args:
        spec: of the target.
        privacy: noise or epsilon, and method.
        batch_size: the expected one; None takes the default.
        part: of a pretrained target that is trained; None is the head.
    """
    rate = HEAD_ONLY["learning_rate"] if part is None else PRIVATE_PARTS[part]
    if spec.is_own:
        rate = PRIVATE_RATES.get(spec.architecture, PRIVATE_RATE)
    chosen: dict[str, Any] = {"method": privacy.method} | {
        name: value
        for name in ("noise_multiplier", "epsilon", "delta", "clip_norm")
        if (value := getattr(privacy, name)) is not None
    }
    if batch_size is not None:
        chosen["batch_size"] = batch_size
    if privacy.method == "edp":
        # Micro-batches, decaying noise, and clip norms that need no choice.
        chosen |= {
            "microbatches": Microbatches(),
            "noise_decay": EDP_NOISE_DECAY,
            "clipping": "automatic",
        }
    return {
        "epochs": EPOCHS,
        "learning_rate": rate,
        "privacy": PrivacySettings(**chosen),
    }


def head_only(spec: TargetSpec) -> TargetSpec:
    """Return a pretrained `spec` with a linear head on the frozen encoder, without dropout.

    It is the default of private training: noise on 22 million weights costs a small corpus more
    than their training is worth. On HWU64 the frozen encoder of MiniLM keeps nearly all of its
    accuracy at an epsilon of 8.
    """
    return replace(
        spec, freeze_encoder=True, embedding_dropout=0.0, encoder_dropout=0.0, head_dropout=0.0
    )
