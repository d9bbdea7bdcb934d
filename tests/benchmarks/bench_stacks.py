"""Training 20 small models side by side against one by one: throughput on one thread.

    python tests/benchmarks/bench_stacks.py [--models 20] [--sentences 800] [--epochs 8]
    python tests/benchmarks/bench_stacks.py --private --models 6 --sentences 1000 --epochs 40

Sizes of the small targets (embeddings and hidden 32, 800 sentences of random words in the lengths
and the vocabulary of spoken commands). A B A B in one process; median [lowest, highest]
seconds a model of processor time, which other programs on the machine disturb less than the clock;
on a GPU seconds of the clock.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from modiva.classifiers import Classifier, build, parse_target
from modiva.condition import Condition, Privacy
from modiva.training import resolve
from modiva.training.config import Splits
from modiva.training.loop import train
from modiva.training.stack import train_stack

INTENTS = 7


def sentences(rng: np.random.Generator, n: int) -> list[tuple[str, str]]:
    """Sentences of 2 to 35 words, 9 on average, drawn by Zipf's law; the intent is a word's."""
    found = []
    for _ in range(n):
        intent = int(rng.integers(INTENTS))
        words = np.minimum(rng.zipf(1.35, size=min(2 + rng.poisson(7), 35)), 3000)
        found.append((" ".join([f"intent{intent}", *(f"w{word}" for word in words)]), str(intent)))
    return found


def make(target: str, datas: list[Splits]) -> list[Classifier]:
    """Untrained classifiers, each with the vocabulary of its own sentences."""
    spec = parse_target(target, "small")
    intents = [str(i) for i in range(INTENTS)]
    return [
        build(spec, texts=[text for text, _ in data.train], intents=intents, seed=seed)
        for seed, data in enumerate(datas)
    ]


def seconds(run: Callable[[], object], device: str) -> float:
    """Processor time of one call; on a GPU, where the processor waits, time by the clock."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    run()
    return clock() - start


def main() -> None:
    """Measure and print one line an architecture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--sentences", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--private", action="store_true", help="train with noise multiplier 1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--targets", nargs="+", default=["cnn", "lstm", "transformer"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    datas = [
        Splits(sentences(rng, args.sentences), sentences(rng, 200), sentences(rng, 200))
        for _ in range(args.models)
    ]
    seeds = list(range(args.models))
    print(f"{'target':12} {'alone s/model':>22} {'stacked s/model':>22} {'ratio':>6}")
    for target in args.targets:
        privacy = Privacy(noise_multiplier=1.0) if args.private else None
        condition = Condition(target=target, size="small", epochs=args.epochs, privacy=privacy)
        _, config = resolve(condition, device=args.device)
        times: dict[str, list[float]] = {"alone": [], "stacked": []}
        for _ in range(args.rounds):
            classifiers = make(target, datas)
            times["alone"].append(
                seconds(
                    lambda classifiers=classifiers, config=config: [
                        train(c, d, replace(config, seed=s), progress=False)
                        for c, d, s in zip(classifiers, datas, seeds, strict=True)
                    ],
                    args.device,
                )
            )
            classifiers = make(target, datas)
            times["stacked"].append(
                seconds(
                    lambda classifiers=classifiers, config=config: train_stack(
                        classifiers, datas, config, seeds, progress=False
                    ),
                    args.device,
                )
            )
        cells = {}
        for name, values in times.items():
            low, middle, high = (
                value / args.models
                for value in (min(values), statistics.median(values), max(values))
            )
            cells[name] = f"{middle:.3f} [{low:.3f}, {high:.3f}]"
        ratio = statistics.median(
            a / b for a, b in zip(times["alone"], times["stacked"], strict=True)
        )
        print(f"{target:12} {cells['alone']:>22} {cells['stacked']:>22} {ratio:6.2f}", flush=True)


if __name__ == "__main__":
    main()
