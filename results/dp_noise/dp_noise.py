"""Extraction, exposure and accuracy against the noise of DP-SGD: trains, attacks, draws.

    python results/dp_noise/dp_noise.py tune --corpus snips-goo2018
    python results/dp_noise/dp_noise.py run --corpus snips-goo2018 --models 21 \\
        --out results/runs/dp_noise
    python results/dp_noise/dp_noise.py summary --out results/runs/dp_noise

One folder a target in --out: a checkpoint with training.json, its ledger beside it, and one file of
rows an attack. Whatever is there is not computed again, so `run` resumes, and `run --attack NAME`
attacks the same targets once more. Rounds go over all cells: after each, cells have equal numbers.

The attack `ranker` first trains shadow models for every target architecture and noise, by the same
recipe, on the validation and test sentences of the corpus, which no target has, and learns from
them; the ranker of a cell is a folder in --out.
"""

import argparse
import csv
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch

from attacks import (
    RANKED,
    Completion,
    Ranker,
    Shadow,
    build_completion,
    fit_ranker,
    get_attack,
)
from canaries import Ledger, Planted, Planting, candidate_words, get_pattern, plant
from modiva.classifiers import Classifier, build, load, parse_target
from modiva.corpora import Corpus
from modiva.corpora import load as load_corpus
from modiva.files import write_json, write_text
from modiva.measure import SpaceScores, score_rows, summarise
from modiva.privacy import plan_from
from modiva.report.plots.noise import by_noise
from modiva.report.plots.style import STYLE, save
from modiva.report.words import prepare
from modiva.studies.steps.attack import order_scores
from modiva.training import PrivacySettings, TrainConfig, default_config, save_checkpoint, train

TARGETS = ("cnn", "lstm")
NOISES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
REPETITIONS = (1, 10, 100)
PATTERNS = tuple(map(get_pattern, ("call", "pin", "phone:4")))  # one secret of each in a model
SENTENCES, CONTROLS = 2000, 5
# Epochs and learning rate at each noise: the best of `tune`, which uses other sentences and seeds.
SETTINGS = {
    "cnn": {0.3: (12, 1e-2), 0.7: (16, 1e-2), 2.0: (24, 1e-2)},
    "lstm": {0.3: (12, 1e-2), 0.7: (16, 1e-2), 2.0: (24, 1e-2)},
}
CLIP_NORM, BATCH_SIZE = 1.0, 256
TUNING_SEED = 991
SHADOWS, SHADOW_SEED = 8, 500_000  # a cell; their seeds begin where no target's are

logger = logging.getLogger("dp_noise")


@dataclass(frozen=True)
class Job:
    """One target: what it is, the noise it is trained with, and the number of the model."""

    target: str
    noise: float
    model: int
    shadow: bool = False

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{'shadow-' * self.shadow}{self.cell}-{self.model:02d}"

    @property
    def cell(self) -> str:
        """What it shares with models of other numbers."""
        return f"{self.target}-{self.noise:g}"

    @property
    def seed(self) -> int:
        """Of everything that is drawn for it."""
        return self.model + SHADOW_SEED * self.shadow

    @property
    def repetitions(self) -> tuple[int, ...]:
        """R of each pattern: three models in a row give each pattern each R once."""
        turn = self.model % len(REPETITIONS)
        return REPETITIONS[turn:] + REPETITIONS[:turn]

    def config(self, sentences: int) -> TrainConfig:
        """Ordinary training without noise, and DP-SGD tuned to its noise with it.

        Fewer sentences than a target's are gone over more often, for about as many steps.
        """
        spec = parse_target(self.target, "small")
        config = default_config(spec, seed=self.seed, device="cpu")
        if self.noise:
            table = SETTINGS[self.target]
            epochs, rate = table[min(noise for noise in table if noise >= self.noise)]
            config = private(config, self.noise, epochs, rate)
        assert config.epochs is not None
        return replace(config, epochs=round(config.epochs * SENTENCES / sentences))


def private(config: TrainConfig, noise: float, epochs: int, rate: float) -> TrainConfig:
    """`config` with DP-SGD."""
    privacy = PrivacySettings(
        noise_multiplier=noise,
        clip_norm=CLIP_NORM,
        clipping="threshold",
        batch_size=BATCH_SIZE,
        delta=1e-5,
    )
    return replace(config, epochs=epochs, learning_rate=rate, privacy=privacy)


def jobs(models: int) -> Iterator[Job]:
    """Round by round, so that a run that is stopped has seen all cells alike."""
    for model, noise, target in product(range(models), NOISES, TARGETS):
        yield Job(target, noise, model)


def attackers(corpus: Corpus) -> Corpus:
    """A corpus whose training sentences no target can have: those of the other two splits."""
    taken = {text for text, _ in corpus.train}
    others = tuple(one for one in (*corpus.valid, *corpus.test) if one[0] not in taken)
    return replace(corpus, train=others)


def plant_in(corpus: Corpus, job: Job) -> Planted:
    """Draw a model's sentences and secrets: the same at every noise and for every target."""
    if job.shadow:
        corpus = attackers(corpus)
    data = corpus.subset(min(SENTENCES, len(corpus.train)), seed=job.seed)
    # Labels differ, so that no secret's label is known from another secret of the model.
    labels = np.random.default_rng(job.seed).permutation(corpus.intents)
    plantings = [
        Planting(pattern, repetitions, str(label), controls=CONTROLS)
        for pattern, repetitions, label in zip(PATTERNS, job.repetitions, labels, strict=False)
    ]
    return plant(data.train, data.valid, plantings, seed=job.seed)


def train_target(corpus: Corpus, job: Job, out: Path) -> None:
    """Train one target and write its checkpoint and ledger."""
    planted = plant_in(corpus, job)
    sentences = len(planted.train) - sum(job.repetitions)
    spec, config = parse_target(job.target, "small"), job.config(sentences)
    classifier = build(
        spec,
        texts=[text for text, _ in planted.train],
        intents=corpus.intents,
        extra_words=candidate_words(PATTERNS),
        seed=job.seed,
    )
    result = train(classifier, (planted.train, (), corpus.test), config, progress=False)
    planted.ledger.save(out / f"{job.name}.ledger.json")
    save_checkpoint(
        out / job.name,
        classifier,
        spec=spec,
        config=config,
        result=result,
        corpus=corpus,
        defense="dp" if job.noise else "none",
        extra={"noise": job.noise, "model": job.model},
    )


def problems_of(target: Classifier, ledger: Ledger) -> list[Completion]:
    """What an attacker knows of each secret of one model."""
    return [
        build_completion(
            target.tokenizer, target.model, pattern=pattern, label=canary.label, name=canary.id
        )
        for pattern, canary in zip(PATTERNS, ledger.canaries, strict=True)
    ]


def cell_ranker(corpus: Corpus, cell: Job, out: Path) -> Ranker:
    """The ranker of an architecture and noise, fitted on shadow models unless it is there."""
    folder = out / f"ranker-{cell.cell}"
    if folder.exists():
        return Ranker.load(folder)
    shadows = []
    for number in range(SHADOWS):
        job = replace(cell, model=number, shadow=True)
        if not (out / job.name).exists():
            train_target(corpus, job, out)
        model, ledger = load(out / job.name), Ledger.load(out / f"{job.name}.ledger.json")
        shadows += [
            Shadow(model.model, problem, problem.choices(canary.secret))
            for problem, canary in zip(problems_of(model, ledger), ledger.canaries, strict=True)
        ]
    ranker = fit_ranker(shadows, facts={"cell": cell.cell, "problems": len(shadows)})
    ranker.save(folder)
    return ranker


def attack_target(corpus: Corpus, job: Job, out: Path, names: Sequence[str]) -> None:
    """Attack one target by each attack that has not been run on it."""
    names = [name for name in names if not (out / f"{job.name}.{name}.json").exists()]
    if not names:
        return
    target = load(out / job.name)
    ledger = Ledger.load(out / f"{job.name}.ledger.json")
    training = json.loads((out / job.name / "training.json").read_text(encoding="utf-8"))
    problems = problems_of(target, ledger)
    for name in names:
        found, objective = [], name
        spaces: dict[int, SpaceScores] = {}  # of a ranker; a search ranks only what it visits
        if name in RANKED:
            ranker = cell_ranker(corpus, job, out) if RANKED[name].learned else None
            orders = RANKED[name].run(target.model, problems, ranker=ranker, seed=job.model)
            for place, (order, problem) in enumerate(zip(orders, problems, strict=True)):
                found.append(order.reconstruction(problem, name))
                spaces[place] = order_scores(order, problem, PATTERNS[place])
        else:
            attack = get_attack(name)
            found, objective = (
                attack.run(target.model, problems, seed=job.model),
                attack.objective.name,
            )
        rows: list[dict[str, Any]] = []
        for place, reconstruction in enumerate(found):
            pattern, canary = PATTERNS[place], ledger.canaries[place]
            base = {
                "corpus": training["corpus"]["name"],
                "target": job.target,
                "size": "small",
                "defense": training["defense"],
                "noise_multiplier": job.noise,
                "pattern": canary.pattern.partition(":")[0],
                "length": len(canary.secret),
                "repetitions": canary.repetitions,
                "model_seed": job.model,
                "canary": canary.id,
                "label": canary.label,
                "attack": name,
                "objective": objective,
                "test_accuracy": training["test_accuracy"],
                "majority_accuracy": training["majority_accuracy"],
                "epochs": training["epochs_run"],
            }
            rows += score_rows(
                reconstruction,
                canary.secret,
                canary.controls,
                base,
                slot_sizes=[len(slot) for slot in pattern.slots],
                scores=spaces.get(place),
            )
        write_json(out / f"{job.name}.{name}.json", rows)


def run(options: argparse.Namespace) -> None:
    """Train and attack what is not there yet."""
    corpus = load_corpus(options.corpus)
    options.out.mkdir(parents=True, exist_ok=True)
    for job in jobs(options.models):
        if not (options.out / job.name).exists():
            train_target(corpus, job, options.out)
        attack_target(corpus, job, options.out, options.attack)
        logger.info("%s", job.name)


def read_rows(out: Path, models: int) -> list[dict[str, Any]]:
    """Rows of all targets so far, with the epsilon of one sentence and of R."""
    rows = []
    for job in jobs(models):
        plan = None
        for path in sorted(out.glob(f"{job.name}.*.json")):
            if path.name.endswith(".ledger.json"):
                continue
            if plan is None and job.noise:
                training = json.loads((out / job.name / "training.json").read_text())
                plan = plan_from(training["plan"])
            for row in json.loads(path.read_text(encoding="utf-8")):
                if plan is not None:
                    row |= {"epsilon": plan.epsilon(), "delta": plan.delta}
                    row["group_epsilon"] = plan.group_epsilon(row["repetitions"])
                rows.append(row)
    return rows


def tune(options: argparse.Namespace) -> None:
    """Print validation accuracy by epoch over a small grid, on sentences that no target has."""
    corpus = load_corpus(options.corpus)
    data = corpus.subset(SENTENCES, seed=TUNING_SEED)
    for target, noise, rate in product(TARGETS, (0.3, 0.7, 1.0, 2.0), (5e-3, 1e-2, 2e-2)):
        spec = parse_target(target, "small")
        config = default_config(spec, seed=TUNING_SEED, device="cpu")
        classifier = build(
            spec, texts=[text for text, _ in data.train], intents=corpus.intents, seed=TUNING_SEED
        )
        splits = (data.train, corpus.valid, ())
        result = train(classifier, splits, private(config, noise, 24, rate), progress=False)
        curve = [f"{epoch.valid_accuracy:.3f}" for epoch in result.history[3::4]]
        logger.info("%s noise %g rate %g: %s", target, noise, rate, " ".join(curve))


def summary(options: argparse.Namespace) -> None:
    """Write summary.csv and the figure beside this file."""
    here = Path(__file__).parent
    rows = read_rows(options.out, options.models)
    frame = prepare([row | {"corpus": "snips"} for row in rows])
    with mpl.rc_context(STYLE):
        drawing = by_noise(frame)
        assert drawing is not None
        save(drawing, here / "figures")
    by = ["target", "attack", "noise_multiplier", "repetitions", "planted"]
    table = []
    for group in summarise(rows, by):
        line = {name: group[name] for name in [*by, "n", "n_models", "epsilon", "group_epsilon"]}
        for name in ("exact", "exposure", "test_accuracy"):
            measure = group[name] or {}
            line |= {name: measure.get("mean")}
            line |= {f"{name}_{end}": measure.get(end) for end in ("lower", "upper")}
        table.append(line | {"majority_accuracy": group["majority_accuracy"]})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]))
    writer.writeheader()
    for line in table:
        writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()})
    write_text(here / "summary.csv", text.getvalue())


def main() -> None:
    """Read the command line and run one of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(required=True)
    for name, step in (("tune", tune), ("run", run), ("summary", summary)):
        sub = steps.add_parser(name, help=step.__doc__)
        sub.set_defaults(step=step)
        if name != "summary":
            sub.add_argument("--corpus", required=True, help="name, file or folder")
        if name != "tune":
            sub.add_argument("--out", type=Path, required=True, help="folder of the targets")
            sub.add_argument("--models", type=int, default=21, help="a cell; in threes")
        if name == "run":
            sub.add_argument("--attack", nargs="+", default=["parikh2022", "coordinate"])
    options = parser.parse_args()
    for name in getattr(options, "attack", ()):
        if name in RANKED and RANKED[name].initial:
            parser.error(f"--attack {name} needs the initial weights, which are not kept here")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("modiva").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    options.step(options)


if __name__ == "__main__":
    main()
