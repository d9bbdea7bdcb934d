"""The checkpoint folder: Hugging Face format, and training.json to reproduce it."""

import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from modiva.errors import ModivaError
from modiva.files import atomic_folder, write_json
from modiva.privacy import Bounds, PrivacyPlan
from modiva.training.private_run import finite
from modiva.version import __version__

if TYPE_CHECKING:
    from modiva.training.target import Prepared, Target

TRAINING_FILE = "training.json"


def save_checkpoint(
    folder: Path | str,
    target: "Target",
    *,
    prepared: "Prepared",
    command: str | None = None,
    seed_is_secret: bool = False,
) -> Path:
    """Write a checkpoint and its training.json, both or neither.

    training.json holds no secret. It does hold the seed, unless that is secret, and the command:
    anyone who plants with the same seed plants the same secrets. The file belongs to the owner,
    like the ledger, and no attack opens it.

    Args:
        folder: must not exist.
        target: what `prepared` trained.
        prepared: its condition, with the corpus BEFORE planting, whose name and fingerprint are
            kept.
        command: what made it, as a line.
        seed_is_secret: the training had a seed of its own, which is not kept.

    Raises:
        ModivaError: `folder` exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise ModivaError(f"{folder} exists already: name another folder or remove it")
    facts = {
        "command": command,
        "seed": None if seed_is_secret else target.model_seed,
        "seed_is_secret": seed_is_secret,
        **_facts(target, prepared),
    }
    with atomic_folder(folder) as temporary:
        target.classifier.write_into(temporary)
        write_json(temporary / TRAINING_FILE, facts)
    return folder


def _facts(target: "Target", prepared: "Prepared") -> dict[str, Any]:
    """Return what training.json says of a target, but for its command and its seed."""
    condition, corpus = prepared.condition, prepared.corpus
    plan = target.result.plan
    return {
        "condition": condition.as_dict(),
        "target": asdict(prepared.spec),
        "defense": condition.protection,
        "config": {
            name: value for name, value in asdict(prepared.config).items() if name != "seed"
        },
        "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint},
        "sentences": {
            "train": target.sentences,
            "valid": len(corpus.valid),
            "test": len(corpus.test),
        },
        "planting": {
            "patterns": [pattern.template for pattern in prepared.patterns],
            "repetitions": list(condition.copies),
            "group_epsilon": [
                None if plan is None else finite(PrivacyPlan.read(plan).group_epsilon(copies))
                for copies in condition.copies
            ],
            **_bounds(plan, prepared),
            "group_neighbouring": [f"add-or-remove-{copies}" for copies in condition.copies],
        }
        if prepared.patterns
        else None,
        **asdict(target.result),
        "versions": {
            "modiva": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": sys.version.split()[0],
        },
        "threads": torch.get_num_threads(),
    }


def _bounds(plan: dict[str, Any] | None, prepared: "Prepared") -> dict[str, list[float | None]]:
    """Return what any attack reaches against the secrets of each pattern; None without privacy."""
    planted = zip(prepared.patterns, prepared.condition.copies, strict=True)
    names = [field.name for field in fields(Bounds)]
    if plan is None:
        return {name: [None] * len(prepared.patterns) for name in names}
    private = PrivacyPlan.read(plan)
    found = [private.bounds(pattern.size, copies) for pattern, copies in planted]
    return {name: [getattr(bounds, name) for bounds in found] for name in names}
