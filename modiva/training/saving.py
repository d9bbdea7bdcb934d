"""A folder of trained targets: checkpoints, what attackers know, and ledgers apart."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from canaries import Ledger
from canaries.questions import load_questions, save_questions
from modiva.classifiers import load
from modiva.training.config import EpochRecord, TrainResult
from modiva.training.federated.record import Device, Rounds
from modiva.training.seeds import resolve_device
from modiva.training.target import Target

TARGETS_FILE = "targets.json"


def save_targets(trained: Sequence[tuple[Target, Ledger]], folder: Path) -> None:
    """Write targets into an existing folder.

    model-0/          the checkpoint: Hugging Face format, safetensors
    questions-0.json  what an attacker knows of its canaries
    ledger-0.json     what was planted; only scoring reads it
    targets.json      seed, size of the training split and training result of every model
    rounds-0/         of federated training, what an attacker may see of its rounds
    """
    facts = []
    for number, (target, ledger) in enumerate(trained):
        model = folder / f"model-{number}"
        model.mkdir()
        target.classifier.write_into(model)
        save_questions(folder / f"questions-{number}.json", target.questions)
        ledger.save(folder / f"ledger-{number}.json")
        fact = {
            "model_seed": target.model_seed,
            "sentences": target.sentences,
            "words_kept": target.words_kept,
            "result": dataclasses.asdict(target.result),
        }
        if target.rounds is not None:
            target.rounds.copy_to(folder / f"rounds-{number}")
            devices = target.devices.items()
            fact["devices"] = {name: dataclasses.asdict(device) for name, device in devices}
        facts.append(fact)
    (folder / TARGETS_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load_targets(folder: Path, device: str = "cpu") -> Iterator[Target]:
    """Read the targets of a folder, one after the other; this opens no ledger.

    Args:
        folder: as `save_targets` wrote it.
        device: "auto", "cpu" or "cuda", where the models go.

    Raises:
        ModivaError: no such device here.
    """
    place = resolve_device(device)
    facts = json.loads((folder / TARGETS_FILE).read_text(encoding="utf-8"))
    for number, fact in enumerate(facts):
        classifier = load(folder / f"model-{number}")
        # A safetensors file puts weights at any address, and matrix products round by alignment:
        # a copy lies where a freshly trained weight does, so that both give the same bits.
        for parameter in classifier.model.parameters():
            parameter.data = parameter.data.clone()
        classifier.model.to(place)  # type: ignore[arg-type]
        result = dict(fact["result"])
        result["history"] = tuple(EpochRecord(**epoch) for epoch in result["history"])
        rounds = folder / f"rounds-{number}"
        yield Target(
            classifier,
            TrainResult(**result),
            load_questions(folder / f"questions-{number}.json"),
            fact["sentences"],
            fact["model_seed"],
            {name: Device(**device) for name, device in fact.get("devices", {}).items()},
            Rounds(rounds) if rounds.is_dir() else None,
            fact["words_kept"],
        )


def load_ledgers(folder: Path) -> list[Ledger]:
    """Read the ledgers of a folder of targets, in their order."""
    facts = json.loads((folder / TARGETS_FILE).read_text(encoding="utf-8"))
    return [Ledger.load(folder / f"ledger-{number}.json") for number in range(len(facts))]
