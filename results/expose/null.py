"""How often `modiva expose` finds evidence in models that saw neither side.

    python results/expose/null.py --out results/expose

Each model is a small CNN, trained on its own third of the training sentences of the default corpus
that hold secrets (numbers in words, nearly all), and on others without. The other two thirds are
drawn at random, too: they are compared with each other, and one of them with the test split, whose
templates are others.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np

from modiva.classifiers import build
from modiva.condition import Condition
from modiva.corpora import load
from modiva.measure.intervals import clopper_pearson
from modiva.natural import Finder, expose
from modiva.training import resolve, train_stack
from modiva.training.target import prepare_process

OTHERS = 400  # sentences without secrets that a model is trained on
SIDES = ("random halves", "test split")  # what one half is compared with


def main() -> None:
    """Train, compare and write the p-values of each model at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=int, default=24)
    parser.add_argument("--sentences", type=int, default=30, help="of each side")
    parser.add_argument("--candidates", type=int, default=300, help="of each secret's space")
    arguments = parser.parse_args()
    prepare_process()
    condition = Condition(target="cnn", size="small")
    spec, config = resolve(condition, device="cpu")
    corpus, finder = load("home-assistant"), Finder()
    distinct = list(dict.fromkeys((row.text, row.intent) for row in corpus.train))
    holding = [pair for pair in distinct if finder.find(pair[0])[2]]
    plain = sorted(set(distinct) - set(holding))
    test = [(row.text, row.intent) for row in corpus.test]
    found = []
    for seed in range(arguments.models):
        draw = np.random.default_rng([seed, 1])
        third = len(holding) // 3
        mixed = [holding[at] for at in draw.permutation(len(holding))]
        own = [plain[at] for at in draw.permutation(len(plain))[:OTHERS]]
        texts = [text for text, _ in (*distinct, *test)]  # the vocabulary gives no side away
        classifier = build(spec, texts=texts, intents=list(corpus.intents), seed=seed)
        data = ([*mixed[:third], *own], (), ())
        train_stack([classifier], [data], config, seeds=[seed], progress=False)
        halves = mixed[third : 2 * third], mixed[2 * third :]
        row: dict[str, Any] = {"seed": seed}
        for title, nonmembers in zip(SIDES, (halves[1], test), strict=True):
            exposed = expose(
                classifier.model, classifier.tokenizer, halves[0], nonmembers, finder=finder,
                candidates=arguments.candidates, sentences=arguments.sentences, seed=seed,
            )  # fmt: skip
            row[title] = exposed.p_value
        found.append(row)
        with (arguments.out / "null.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
    for title in SIDES:
        below = sum(row[title] < 0.05 for row in found)
        low, high = clopper_pearson(below, len(found))
        print(
            f"{title}: p < 0.05 in {below} of {len(found)} ({100 * low:.1f} to {100 * high:.1f} %)"
        )


if __name__ == "__main__":
    main()
