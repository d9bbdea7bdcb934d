"""How many codes a second exhaustive scoring takes, by architecture, on one core or a GPU.

The targets are small (embeddings and hidden 32) and untrained: the time does not depend on the
weights. Prints medians and quartiles over repeated runs of all 10,000 four-digit codes.
"""

import argparse
import time

import numpy as np
import torch

from attacks import build_completion
from attacks.scoring import score_space
from canaries import get_pattern
from canaries.planting import candidate_words
from modiva.classifiers import build, parse_target

REPEATS = 9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    device = parser.parse_args().device
    torch.set_num_threads(1)
    print(f"{'target':12} {'prefix':15} {'codes/s':>10}  quartiles")
    for target in ("cnn", "lstm", "lstm-char", "transformer"):
        for name in ("call", "pin"):
            pattern = get_pattern(name)
            classifier = build(
                parse_target(target, "small"),
                texts=["play some music", "what is the weather"],
                intents=[f"intent {index}" for index in range(26)],
                extra_words=candidate_words([pattern]),
            )
            model = classifier.model.to(device)
            problem = build_completion(
                classifier.tokenizer, model, pattern=pattern, label="intent 3"
            )
            rates = []
            for _ in range(REPEATS):
                started = time.perf_counter()
                score_space(model, problem, "loss")
                rates.append(problem.size / (time.perf_counter() - started))
            low, middle, high = np.percentile(rates, [25, 50, 75])
            print(f"{target:12} {pattern.prefix:15} {middle:10,.0f}  {low:,.0f} - {high:,.0f}")


if __name__ == "__main__":
    main()
