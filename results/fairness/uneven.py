"""Write SNIPS with two intents cut to 60 sentences, two to 200 and three to 800.

SNIPS as published has as many sentences of each intent, so that none is rare.
"""

import csv
import sys
from pathlib import Path

from modiva.corpora import Corpus, load

SIZES = (60, 60, 200, 200, 800, 800, 800)  # of the intents in alphabetical order


def uneven(corpus: Corpus) -> dict[str, list[tuple[str, str]]]:
    """Return the splits, of train the first sentences of each intent."""
    left = dict(zip(corpus.intents, SIZES, strict=True))
    train = []
    for text, intent in corpus.train:
        if left[intent]:
            left[intent] -= 1
            train.append((text, intent))
    return {"train": train, "valid": list(corpus.valid), "test": list(corpus.test)}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in uneven(load("snips-goo2018")).items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "intent"), *rows])
