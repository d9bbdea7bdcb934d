"""The step `train`: plant secrets and train the targets of one chunk, side by side if they can.

Its artefact, by the number of the model in the chunk:

    model-0/          the checkpoint: Hugging Face format, safetensors; all that an attack loads
    ledger-0.json     what was planted; only scoring reads it
    targets.json      seed, size of the training split and training result of every model
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canaries import Ledger, Pattern, Planted, candidate_words
from modiva.classifiers import Classifier, TargetSpec, build, load, parse_target, write_into
from modiva.corpora import Corpus
from modiva.errors import ModivaError
from modiva.studies.engines.task import Context, Rows
from modiva.studies.spec import STACK, Cell
from modiva.studies.steps.planting import (
    cell_patterns,
    load_corpus,
    model_seeds,
    plant_target,
    prepare_process,
)
from modiva.training import (
    EpochRecord,
    TrainConfig,
    TrainResult,
    apply_defense,
    default_config,
    train_stack,
)

TARGETS_FILE = "targets.json"


@dataclass(frozen=True)
class Target:
    """One trained target with what was planted in it."""

    classifier: Classifier
    result: TrainResult
    ledger: Ledger
    sentences: int
    model_seed: int


def run(settings: Mapping[str, Any], context: Context) -> Rows:
    """Train models `start` to `stop` of a cell and leave them in `context.out`."""
    prepare_process()
    cell = Cell.from_dict(settings["cell"])
    corpus = checked_corpus(cell, settings["data"])
    patterns = cell_patterns(cell, corpus)
    models = range(settings["start"], settings["stop"])
    save_targets(train_targets(cell, corpus, patterns, models, context.device), context.out)
    return []


def checked_corpus(cell: Cell, fingerprint: str) -> Corpus:
    """The corpus of a cell, which must be the one that the study was planned with.

    Raises:
        ModivaError: it has changed, or another machine has another one under this name.
    """
    corpus = load_corpus(cell.corpus)
    if corpus.fingerprint != fingerprint:
        raise ModivaError(
            f"corpus {cell.corpus} is not the one that the study was planned with: it changed, or "
            "this machine has another under this name; run again, from a folder that all share"
        )
    return corpus


def target_settings(cell: Cell, device: str = "auto") -> tuple[TargetSpec, TrainConfig]:
    """What a cell's targets are and how they are trained, its defense applied."""
    spec, config = apply_defense(
        cell.defense,
        parse_target(cell.target, cell.size),
        default_config(cell.target, size=cell.size, epochs=cell.epochs, device=device),
        noise_multiplier=cell.noise if cell.private else None,
    )
    if cell.epochs is not None:  # a defense changes the default, not what was asked for
        config = dataclasses.replace(config, epochs=cell.epochs)
    return spec, config


def chunks(cell: Cell, spec: TargetSpec, config: TrainConfig) -> Iterator[range]:
    """Cut the models of a cell into steps.

    Models that `train_stack` trains one after the other are steps of their own, so that a study
    of more models trains only those that are new. Others train in blocks of `STACK`, or in parts
    of one where `stack` asks for smaller ones.
    """
    stack = 1 if config.privacy or not spec.is_own else cell.stack
    for block in range(0, cell.models, STACK):
        end = min(block + STACK, cell.models)
        for start in range(block, end, stack):
            yield range(start, min(start + stack, end))


def order_seed(cell: Cell, model: int) -> int:
    """The seed of the order of batch lengths, which models of one block share."""
    return model_seeds(cell)[model // STACK * STACK]


def train_targets(
    cell: Cell,
    corpus: Corpus,
    patterns: Sequence[Pattern],
    models: range,
    device: str = "auto",
    progress: bool = False,
) -> list[Target]:
    """Train some models of a cell, of one block, side by side where that is possible."""
    spec, config = target_settings(cell, device)
    seeds = [model_seeds(cell)[index] for index in models]
    planted = [plant_target(cell, corpus, patterns, seed) for seed in seeds]
    classifiers = [
        untrained(spec, corpus, patterns, one, seed)
        for one, seed in zip(planted, seeds, strict=True)
    ]
    results = train_stack(
        classifiers,
        [(one.train, one.valid, corpus.test) for one in planted],
        dataclasses.replace(config, order_seed=order_seed(cell, models.start)),
        seeds=seeds,
        progress=progress,
    )
    return [
        Target(classifier, result, one.ledger, len(one.train), seed)
        for classifier, result, one, seed in zip(classifiers, results, planted, seeds, strict=True)
    ]


def untrained(
    spec: TargetSpec, corpus: Corpus, patterns: Sequence[Pattern], planted: Planted, seed: int
) -> Classifier:
    """A target before training."""
    return build(
        spec,
        texts=[text for text, _ in planted.train],
        intents=planted_intents(corpus, planted.ledger),
        extra_words=candidate_words(patterns),
        seed=seed,
    )


def planted_intents(corpus: Corpus, ledger: Ledger) -> list[str]:
    """The labels of a target: the corpus's intents, and a canary's own if it is new."""
    return sorted({*corpus.intents, *(canary.label for canary in ledger.canaries)})


def save_targets(targets: Sequence[Target], folder: Path) -> None:
    """Write the artefact into an existing folder."""
    facts = []
    for number, target in enumerate(targets):
        model = folder / f"model-{number}"
        model.mkdir()
        write_into(target.classifier, model)
        target.ledger.save(folder / f"ledger-{number}.json")
        facts.append(
            {
                "model_seed": target.model_seed,
                "sentences": target.sentences,
                "result": dataclasses.asdict(target.result),
            }
        )
    (folder / TARGETS_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load_targets(folder: Path) -> Iterator[Target]:
    """Read the targets of an artefact, one after the other."""
    facts = json.loads((folder / TARGETS_FILE).read_text(encoding="utf-8"))
    for number, fact in enumerate(facts):
        classifier = load(folder / f"model-{number}")
        # A safetensors file puts weights at any address, and matrix products round by alignment:
        # a copy lies where a freshly trained weight does, so that both give the same bits.
        for parameter in classifier.model.parameters():
            parameter.data = parameter.data.clone()
        result = dict(fact["result"])
        result["history"] = tuple(EpochRecord(**epoch) for epoch in result["history"])
        yield Target(
            classifier,
            TrainResult(**result),
            Ledger.load(folder / f"ledger-{number}.json"),
            fact["sentences"],
            fact["model_seed"],
        )
