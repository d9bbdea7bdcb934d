"""Accuracy of private training at its defaults, beside ordinary training and the majority floor.

    python results/dp_utility/dp_utility.py run --corpora FOLDER --out results/dp_utility/rows.csv
    python results/dp_utility/dp_utility.py table --out results/dp_utility/rows.csv

FOLDER holds the corpora as `hwu64` and `slotgated_snips` (seq.in, label). Every run is a line of
--out and is not run again: `run` resumes.
"""

import argparse
import csv
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modiva.classifiers import SentenceClassifier, build, parse_target
from modiva.corpora import load
from modiva.files import write_text
from modiva.measure import student_interval
from modiva.training import apply_defense, default_config, train
from modiva.training.defaults import private_spec

CORPORA = {"hwu64": "hwu64", "snips": "slotgated_snips"}
TARGETS = ("minilm", "cnn", "lstm", "transformer")
EPSILONS = (8.0, 3.0, 1.0)
# How each target is trained without privacy: MiniLM's head alone as well as all of its weights.
ORDINARY = {"minilm": ("head", "all"), "cnn": ("all",), "lstm": ("all",), "transformer": ("all",)}
COLUMNS = (
    "corpus",
    "target",
    "trained",
    "epsilon",
    "seed",
    "test_accuracy",
    "majority_accuracy",
    "noise_multiplier",
    "delta",
    "epochs",
    "steps",
    "cpu_seconds",
)

logger = logging.getLogger("dp_utility")


@dataclass(frozen=True)
class Job:
    """One training run; epsilon 0 stands for ordinary training."""

    corpus: str
    target: str
    trained: str
    epsilon: float
    seed: int

    @property
    def key(self) -> tuple[str, ...]:
        """What its line in the file begins with."""
        return (self.corpus, self.target, self.trained, f"{self.epsilon:g}", str(self.seed))


def jobs(seeds: int, targets: Sequence[str]) -> Iterator[Job]:
    """Seed by seed; fine-tuning all of MiniLM last."""
    late = []
    for seed, target, corpus in product(range(seeds), targets, CORPORA):
        trained = "head" if target == "minilm" else "all"
        for epsilon in EPSILONS:
            yield Job(corpus, target, trained, epsilon, seed)
        for trained in ORDINARY[target]:
            job = Job(corpus, target, trained, 0.0, seed)
            if target == "minilm" and trained == "all":
                late.append(job)
            else:
                yield job
    yield from late[:1]  # an hour of one core: HWU64 once


def run_job(job: Job, folder: Path) -> dict[str, Any]:
    """Train once with the defaults and give its line."""
    corpus = load(folder / CORPORA[job.corpus])
    spec = parse_target(job.target, "small")
    config = default_config(spec, seed=job.seed, device="cpu")
    if job.epsilon:
        spec, config = apply_defense("dp", spec, config, epsilon=job.epsilon)
    elif job.trained == "head":
        spec, config = private_spec(spec), replace(config, learning_rate=3e-3, epochs=15)
    texts = [text for text, _ in corpus.train]
    classifier = build(spec, texts=texts, intents=corpus.intents, seed=job.seed)
    started = time.process_time()
    result = train(classifier, (corpus.train, (), corpus.test), config, progress=False)
    noise = result.plan["noise_multiplier"] if result.plan else None
    return {
        **dict(zip(COLUMNS, job.key, strict=False)),
        "test_accuracy": round(result.test_accuracy or 0.0, 4),
        "majority_accuracy": round(result.majority_accuracy or 0.0, 4),
        "noise_multiplier": None if noise is None else round(noise, 4),
        "delta": result.delta,
        "epochs": result.epochs_run,
        "steps": result.steps,
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def remember_sentence_vectors() -> None:
    """Let runs share a frozen encoder's vectors: same inputs and weights, same values."""
    encode = SentenceClassifier.sentence_vectors
    known: dict[bytes, Tensor] = {}

    def remembered(self: SentenceClassifier, **inputs: Tensor) -> Tensor:
        key = inputs["input_ids"].numpy().tobytes() + inputs["attention_mask"].numpy().tobytes()
        if key not in known:
            known[key] = encode(self, **inputs).detach()
        return known[key]

    SentenceClassifier.sentence_vectors = remembered  # type: ignore[method-assign,assignment]


def read(path: Path) -> list[dict[str, str]]:
    """The lines of a file, none if it is not there."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(options: argparse.Namespace) -> None:
    """Train what is not in the file yet."""
    remember_sentence_vectors()
    done = {tuple(row[name] for name in COLUMNS[:5]) for row in read(options.out)}
    for job in jobs(options.seeds, options.targets):
        if job.key in done:
            continue
        row = run_job(job, options.corpora)
        fresh = not options.out.exists()
        with options.out.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        logger.info("%s", row)


def table(options: argparse.Namespace) -> None:
    """Write the mean of the seeds with its 95 % interval as a Markdown table beside the file."""
    rows = read(options.out)
    lines = [
        "| corpus | target | trained | no privacy | ε = 8 | ε = 3 | ε = 1 | majority |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["corpus"], row["target"], row["trained"]), []).append(row)
    for (corpus, target, trained), mine in groups.items():
        cells = []
        for epsilon in ("0", "8", "3", "1"):
            values = [float(r["test_accuracy"]) for r in mine if r["epsilon"] == epsilon]
            cells.append(_cell(values))
        floor = float(mine[0]["majority_accuracy"])
        lines.append(f"| {corpus} | {target} | {trained} | {' | '.join(cells)} | {floor:.3f} |")
    write_text(options.out.with_suffix(".md"), "\n".join(lines) + "\n")


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    interval = student_interval(values, range(len(values)))
    if interval.lower is None or len(values) < 2:
        return f"{interval.mean:.3f} (n = {len(values)})"
    return f"{interval.mean:.3f} [{interval.lower:.3f}, {interval.upper:.3f}] (n = {len(values)})"


def main() -> None:
    """Read the command line and run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(required=True)
    for name, step in (("run", run), ("table", table)):
        sub = steps.add_parser(name, help=step.__doc__)
        sub.set_defaults(step=step)
        sub.add_argument("--out", type=Path, required=True, help="CSV file of runs")
        if name == "run":
            sub.add_argument("--corpora", type=Path, required=True, help="folder of the corpora")
            sub.add_argument("--seeds", type=int, default=3)
            sub.add_argument("--targets", nargs="+", default=TARGETS, choices=TARGETS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("modiva").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    options.step(options)


if __name__ == "__main__":
    main()
