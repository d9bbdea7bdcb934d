"""Four ways to train at one epsilon: seconds a step, accuracy and extraction of the same targets.

    python results/dp_table/dp_table.py run --corpus snips-goo2018 --out results/runs/dp_table
    python results/dp_table/dp_table.py table --out results/runs/dp_table

Sentences, secrets, attacks and scoring are those of results/dp_noise. Methods alternate model by
model in one process on one thread, the slow loop last; times are CPU time. What is there is not
run again.
"""

import argparse
import json
import logging
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1] / "dp_noise"))
import dp_noise

from canaries import candidate_words
from modiva.classifiers import build, parse_target
from modiva.corpora import Corpus
from modiva.corpora import load as load_corpus
from modiva.files import write_json, write_text
from modiva.measure import student_interval, wilson
from modiva.privacy import MicrobatchClipper, plan_from
from modiva.training import apply_defense, default_config, private, save_checkpoint, train
from modiva.training.losses import ChunkedLosses

EPSILON = 8.0
METHODS = ("none", "dp", "edp", "loop")
NAMES = {
    "none": "no privacy",
    "dp": "exact DP-SGD, one backward pass",
    "edp": "eDP-SGD, micro-batches of 16",
    "loop": "plain DP-SGD, one sentence at a time",
}
LOOPED = 3  # models by the slow method: its weights are those of "dp" up to rounding

logger = logging.getLogger("dp_table")


class OneByOne(MicrobatchClipper):
    """A micro-batch of one sentence: its clipped mean is the sentence's clipped gradient."""

    sensitivity = 1


class LoopSum(private.ExampleSum):
    """The sum of clipped gradients as first written down: a pass of the model a sentence."""

    def __init__(
        self,
        model: nn.Module,
        losses: ChunkedLosses,
        clip_norm: float,
        automatic: bool,
        expected: float,
    ) -> None:
        self.losses, self.expected, self.clipped = losses, expected, 0
        self.clipper: Any = OneByOne(model, clip_norm, per_layer=False, automatic=automatic)

    def add(self, indices: Tensor) -> float:
        """Add the batch at `indices` to `.grad`; returns the sum of its losses."""
        total = 0.0
        for index in indices.split(1):
            for losses in self.losses(index):
                self.clipper.accumulate(losses)
                total += float(losses.detach().sum())
            self.clipped += int((self.clipper.clip() > self.clipper.clip_norm).sum())
        return total


def train_target(corpus: Corpus, method: str, job: dp_noise.Job, folder: Path) -> None:
    """Train one target by one method and note its CPU time."""
    planted = dp_noise.plant_in(corpus, job)
    spec = parse_target(job.target, "small")
    config = default_config(spec, seed=job.model, device="cpu")
    if method != "none":
        name = "edp" if method == "edp" else "dp"
        spec, config = apply_defense(name, spec, config, epsilon=EPSILON)
        assert config.privacy is not None
        # The noise once for all models: calibration is no part of a step.
        plan = private.make_plan(config.privacy, len(planted.train), config.epochs)
        noise = plan.noise_multipliers[0]
        config = replace(
            config, privacy=replace(config.privacy, epsilon=None, noise_multiplier=noise)
        )
    classifier = build(
        spec,
        texts=[text for text, _ in planted.train],
        intents=corpus.intents,
        extra_words=candidate_words(dp_noise.PATTERNS),
        seed=job.model,
    )
    started = time.process_time()
    with patch.object(private, "ExampleSum", LoopSum if method == "loop" else private.ExampleSum):
        result = train(classifier, (planted.train, (), corpus.test), config, progress=False)
    seconds = time.process_time() - started
    folder.mkdir(parents=True, exist_ok=True)
    planted.ledger.save(folder / f"{job.name}.ledger.json")
    save_checkpoint(
        folder / job.name,
        classifier,
        spec=spec,
        config=config,
        result=result,
        corpus=corpus,
        defense=method,
        extra={"cpu_seconds_a_step": seconds / result.steps},
    )


def run(options: argparse.Namespace) -> None:
    """Train and attack what is not there yet."""
    corpus = load_corpus(options.corpus)
    quick = [(method, model) for model in range(options.models) for method in METHODS[:3]]
    slow = [("loop", model) for model in range(min(LOOPED, options.models))]
    for method, model in quick + slow:
        folder = options.out / method
        job = dp_noise.Job(options.target, EPSILON, model)
        if not (folder / job.name).exists():
            train_target(corpus, method, job, folder)
        dp_noise.attack_target(job, folder, ["parikh2022", "coordinate"])
        logger.info("%s %s", method, job.name)


def table(options: argparse.Namespace) -> None:
    """Write the table beside this file, with 95 % intervals over models."""
    lines = [
        "| training | ε | seconds a step | ms a 1,000 sentences | accuracy | extracted R = 1 "
        "| R = 10 | R = 100 | models |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    facts: dict[str, Any] = {}
    for method in METHODS:
        folder = options.out / method
        trainings = [
            json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*/training.json"))
        ]
        rows = [
            row
            for path in sorted(folder.glob("*.coordinate.json"))
            for row in json.loads(path.read_text(encoding="utf-8"))
            if row["planted"]
        ]
        step = statistics.median(one["extra"]["cpu_seconds_a_step"] for one in trainings)
        one = trainings[0]
        in_all = (dp_noise.SENTENCES + sum(dp_noise.REPETITIONS)) * one["epochs_run"]
        a_thousand = 1e6 * step * one["steps"] / in_all
        accuracies = [one["test_accuracy"] for one in trainings]
        accuracy = student_interval(accuracies, range(len(accuracies)))
        plan = trainings[0]["plan"]
        epsilon = "∞" if plan is None else f"{plan_from(plan).epsilon():.2f}"
        cells = [NAMES[method], epsilon, f"{step:.4f}", f"{a_thousand:.0f}"]
        spread = f" [{accuracy.lower:.3f}, {accuracy.upper:.3f}]" if len(accuracies) > 1 else ""
        cells.append(f"{accuracy.mean:.3f}{spread}")
        for repetitions in dp_noise.REPETITIONS:
            hits = [row["exact"] for row in rows if row["repetitions"] == repetitions]
            low, high = wilson(sum(hits), len(hits))
            cells.append(f"{sum(hits)}/{len(hits)} [{low:.2f}, {high:.2f}]")
        lines.append(f"| {' | '.join(cells)} | {len(trainings)} |")
        facts[method] = {"accuracies": accuracies, "seconds_a_step": step}
    here = Path(__file__).parent
    write_text(here / "table.md", "\n".join(lines) + "\n")
    write_json(here / "table.json", facts)


def main() -> None:
    """Read the command line and run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(required=True)
    for name, step in (("run", run), ("table", table)):
        sub = steps.add_parser(name, help=step.__doc__)
        sub.set_defaults(step=step)
        sub.add_argument("--out", type=Path, required=True, help="folder of the targets")
        if name == "run":
            sub.add_argument("--corpus", required=True, help="name, file or folder")
            sub.add_argument("--target", default="cnn", choices=["cnn", "lstm"])
            sub.add_argument("--models", type=int, default=10)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("modiva").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    options.step(options)


if __name__ == "__main__":
    main()
