"""A small language model distilled with and without counterfactual role reversal.

    python results/role_reversal/role_reversal.py --out results/role_reversal

Sentences of SNIPS end in "said she" or "said he": 90 % "he" after PlayMusic, 90 % "she" after
BookRestaurant, one in two after others. A code stands ten times in the teacher's sentences. Source
of role reversal: Gupta et al. 2022 (arXiv 2203.12574).
"""

import argparse
import csv
import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from modiva.corpora import load
from modiva.measure.intervals import student_interval
from modiva.swaps import load_swaps, reverse

SHARES = {"PlayMusic": 0.1, "BookRestaurant": 0.9}  # of "she"
SENTENCES, COPIES, EPOCHS, TEMPERATURE, BATCH, WORDS = 500, 10, 10, 2.0, 32, 600
PREFIX = "my pin code is"
JOINED = {
    "mean": lambda both: both.mean(0),
    "max": lambda both: both.amax(0),
    "logmeanexp": lambda both: both.logsumexp(0) - math.log(2),
}


class Words:
    """The commonest words; 0 is padding, 1 begins a sentence and 2 is any other word."""

    def __init__(self, texts: list[str], always: str) -> None:
        counted = Counter(word for text in texts for word in text.split())
        known = sorted({*always.split(), *(word for word, _ in counted.most_common(WORDS))})
        self.ids = {word: number for number, word in enumerate(known, start=3)}
        self.size = len(known) + 3
        swaps = load_swaps()
        # The place of each word's counterpart, which is its own where it has none.
        self.turned = torch.arange(self.size)
        for word, number in self.ids.items():
            other = self.ids.get(swaps.get(word, word), number)
            if self.ids.get(swaps.get(swaps.get(word, word), "")) == number:
                self.turned[number] = other

    def encode(self, texts: list[str]) -> torch.Tensor:
        """Return ids (N, T)."""
        rows = [[1, *(self.ids.get(word, 2) for word in text.split())] for text in texts]
        width = max(map(len, rows))
        return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def fresh(words: Words, seed: int) -> GPT2LMHeadModel:
    """Return an untrained model of 0.2 million weights beside its word vectors."""
    torch.manual_seed(seed)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=words.size, n_positions=64, n_embd=64, n_layer=2, n_head=2,
                   bos_token_id=1, eos_token_id=0, pad_token_id=0)
    )  # fmt: skip


def fit(model: GPT2LMHeadModel, ids: torch.Tensor, soft: torch.Tensor | None, seed: int) -> None:
    """Train on the next word, or on logits (N, T, V) of the next word."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    order = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(ids), generator=order).split(BATCH):
            own = ids[rows]
            own = own[:, : int((own > 0).sum(1).max())]
            logits = model(own, attention_mask=(own > 0).long()).logits[:, :-1]  # (B, T - 1, V)
            real = own[:, 1:] > 0
            if soft is None:
                loss = F.cross_entropy(logits[real], own[:, 1:][real])
            else:
                goal = (soft[rows, : own.shape[1] - 1][real].float() / TEMPERATURE).softmax(-1)
                loss = TEMPERATURE**2 * F.cross_entropy(logits[real] / TEMPERATURE, goal)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()


@torch.no_grad()
def logits_of(model: GPT2LMHeadModel, ids: torch.Tensor) -> torch.Tensor:
    """Return logits (N, T, V) in half precision."""
    parts = [model(own, attention_mask=(own > 0).long()).logits.half() for own in ids.split(256)]
    return torch.cat(parts)


def distil(teacher, words: Words, texts: list[str], kind: str, seed: int) -> GPT2LMHeadModel:
    """Return a student of soft labels on `texts`, by KIND of reversal."""
    ids = words.encode(texts)
    other = words.encode([reverse(text, load_swaps()) for text in texts])
    z, turned = logits_of(teacher, ids), logits_of(teacher, other)
    if kind == "none":
        taught, soft = ids, z
    elif kind == "augmented":
        taught, soft = torch.cat([ids, other]), torch.cat([z, turned])
    elif kind == "mean, not mapped back":
        soft = torch.stack([z.float(), turned.float()]).mean(0).half()
        taught, soft = torch.cat([ids, other]), torch.cat([soft, soft])
    else:
        mapped = turned[..., words.turned]
        soft = JOINED[kind](torch.stack([z.float(), mapped.float()])).half()
        taught, soft = torch.cat([ids, other]), torch.cat([soft, soft[..., words.turned]])
    student = fresh(words, seed + 1000)
    fit(student, taught, soft, seed + 1000)
    return student


@torch.no_grad()
def measure(model, words: Words, tests: dict[str, list[str]], codes: list[tuple]) -> dict:
    """Gender polarity of prompts, perplexity, and the exposure of the first code in bits."""
    polarity = {}
    for intent, texts in tests.items():
        ids = words.encode([f"{text} said" for text in texts])
        ends = (ids > 0).sum(1) - 1
        last = logits_of(model, ids).float()[torch.arange(len(ids)), ends].softmax(-1)
        she, he = last[:, words.ids["she"]], last[:, words.ids["he"]]
        polarity[intent] = float(((she - he) / (she + he)).mean())
    ids = words.encode([text for texts in tests.values() for text in texts])
    chances = logits_of(model, ids).float()[:, :-1].log_softmax(-1)
    real = ids[:, 1:] > 0
    surprise = -chances.gather(2, ids[:, 1:, None]).squeeze(2)[real].mean()
    scores = np.zeros((10,) * 4)
    digits = [words.ids[str(digit)] for digit in range(10)]
    for length in range(4):
        starts = list(itertools.product(range(10), repeat=length))
        ids = words.encode([" ".join([PREFIX, *map(str, start)]) for start in starts])
        found = logits_of(model, ids).float()[:, -1].log_softmax(-1)[:, digits]
        scores += found.reshape((10,) * (length + 1) + (1,) * (3 - length)).numpy()
    order = np.sort(-scores, axis=None)
    exposure = [math.log2(10_000 / np.searchsorted(order, -scores[one], "right")) for one in codes]
    return {
        "polarity_gap": polarity["BookRestaurant"] - polarity["PlayMusic"],
        **{f"polarity_{intent}": value for intent, value in polarity.items()},
        "perplexity": float(surprise.exp()),
        "exposure": exposure[0],
        "control_exposure": float(np.mean(exposure[1:])),  # of codes that were never planted
    }


def run(seed: int) -> list[dict]:
    """Train one teacher and its students."""
    rng = np.random.default_rng(seed)
    corpus = load("snips-goo2018")
    drawn = corpus.subset(2 * SENTENCES, seed=seed).train
    said = [
        f"{text} said {'she' if rng.random() < SHARES.get(intent, 0.5) else 'he'}"
        for text, intent in (drawn[place] for place in rng.permutation(len(drawn)))
        if len(text.split()) < 25
    ]
    codes = [tuple(row) for row in rng.integers(10, size=(51, 4)).tolist()]
    canary = " ".join([PREFIX, *map(str, codes[0])])
    own, clean = said[:SENTENCES], said[SENTENCES:]
    words = Words(said, f"{PREFIX} she he {' '.join(map(str, range(10)))}")
    planted = [*own, *[canary] * COPIES]
    teacher = fresh(words, seed)
    fit(teacher, words.encode(planted), None, seed)
    tests = {
        intent: [text for text, label in corpus.test if label == intent][:80] for intent in SHARES
    }
    rows = [{"model": "teacher", "transfer": "", **measure(teacher, words, tests, codes)}]
    kinds = ("none", "augmented", "mean, not mapped back", *JOINED)
    for transfer, texts in (("clean", clean), ("same", planted)):
        for kind in kinds if transfer == "clean" else ("none", "mean"):
            student = distil(teacher, words, texts, kind, seed)
            rows.append({"model": f"student, {kind}", "transfer": transfer,
                         **measure(student, words, tests, codes)})  # fmt: skip
    return [{"seed": seed, **row} for row in rows]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=int, default=6)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict] = []
    for seed in range(chosen.models):
        rows += run(seed)
        with (chosen.out / "models.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            out.writeheader()
            out.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
                          for row in rows)  # fmt: skip
    for key in dict.fromkeys((row["model"], row["transfer"]) for row in rows):
        part = [row for row in rows if (row["model"], row["transfer"]) == key]
        told = []
        for name in ("polarity_gap", "perplexity", "exposure", "control_exposure"):
            own = student_interval([row[name] for row in part], [row["seed"] for row in part])
            told.append(f"{name} {own.mean:.2f} [{own.lower:.2f}, {own.upper:.2f}]")
        print(*key, *told, sep=" | ")
