"""The checkpoint folder: Hugging Face format, and training.json to make it again."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

import modiva
from canaries.planting import Planting
from modiva.classifiers import Classifier, TargetSpec, write_into
from modiva.errors import ModivaError
from modiva.files import atomic_folder, write_json
from modiva.training.config import TrainConfig, TrainResult

if TYPE_CHECKING:
    from modiva.corpora import Corpus

TRAINING_FILE = "training.json"


def save_checkpoint(
    folder: Path | str,
    classifier: Classifier,
    *,
    spec: TargetSpec,
    config: TrainConfig,
    result: TrainResult,
    corpus: "Corpus",
    defense: str = "none",
    planting: Sequence[Planting] | Mapping[str, Any] | None = None,
    command: str | Sequence[str] | None = None,
    seed_is_secret: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint and its training.json, both or neither.

    training.json holds no secret. It does hold the seed, unless that is secret, and the command:
    whoever plants with the same seed plants the same secrets, so it belongs to the owner, like the
    ledger, and no attack opens it.

    Args:
        folder: must not exist.
        corpus: the corpus BEFORE planting; its name and fingerprint are kept.
        planting: the plantings, or a summary of them without secrets.
        command: what made it, as a line or as words.
        seed_is_secret: leave the training's seed out of the file, which then says so.
        extra: further facts, kept under "extra".

    Raises:
        ModivaError: `folder` exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise ModivaError(f"{folder} exists already: name another folder or remove it")
    facts = {
        "command": command if isinstance(command, str | None) else list(command),
        "seed": None if seed_is_secret else config.seed,
        "seed_is_secret": seed_is_secret,
        "target": asdict(spec),
        "defense": defense,
        "config": asdict(config) | ({"seed": None} if seed_is_secret else {}),
        "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint},
        "sentences": {split: len(getattr(corpus, split)) for split in ("train", "valid", "test")},
        "planting": _planting_summary(planting),
        **asdict(result),
        "versions": {
            "modiva": modiva.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": sys.version.split()[0],
        },
        "threads": torch.get_num_threads(),
        "extra": dict(extra or {}),
    }
    with atomic_folder(folder) as temporary:
        write_into(classifier, temporary)
        write_json(temporary / TRAINING_FILE, facts)
    return folder


def _planting_summary(planting: Any) -> Any:
    if planting is None or isinstance(planting, Mapping):
        return dict(planting) if planting else None
    return [
        {
            "pattern": one.pattern.name,
            "template": one.pattern.template,
            "repetitions": one.repetitions,
            "label": one.label,
            "count": one.count,
            "controls": one.controls,
        }
        for one in planting
    ]
