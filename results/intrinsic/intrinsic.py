"""WEAT, SEAT and CEAT on MiniLM with exact permutations, and intrinsic beside extrinsic bias.

    python results/intrinsic/intrinsic.py --out results/intrinsic

Sources: Caliskan et al. 2017 (WEAT, lists 2 and 6, shortened to eight words), May et al. 2019
(SEAT), Guo and Caliskan 2021 (CEAT), Cao et al. 2022 (intrinsic beside extrinsic metrics).
"""

import argparse
import csv
import math
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from scipy.stats import norm, pearsonr
from transformers import AutoModel, AutoTokenizer

from modiva.classifiers import build
from modiva.classifiers.pretrained import minilm_folder
from modiva.condition import Condition
from modiva.corpora import load
from modiva.swaps import NAMES
from modiva.training import evaluate, resolve, train_stack

WORDS = {
    "male": "john paul mike kevin steve greg jeff bill",
    "female": "amy joan lisa sarah diana kate ann donna",
    "career": "executive management professional corporation salary office business career",
    "family": "home parents children family cousins marriage wedding relatives",
    "instruments": "guitar piano violin drum flute harp trumpet cello",
    "weapons": "gun bomb knife sword rifle grenade cannon spear",
    "pleasant": "love peace happy wonderful joy pleasure laughter friend",
    "unpleasant": "agony terrible horrible evil war awful failure hurt",
}
LISTS = {name: words.split() for name, words in WORDS.items()}
TESTS = (
    ("male", "female", "career", "family"),
    ("instruments", "weapons", "pleasant", "unpleasant"),
)
CONTEXTS = 20
PROMPTS = ("wants this", "please", "now", "one more", "is it", "i said")
SEAT = ("this is {}", "that is {}", "there is {}", "here is {}", "{} is here", "{} is there")


class Encoder:
    """MiniLM, and the sentences of a corpus that words stand in."""

    def __init__(self) -> None:
        folder = minilm_folder()
        self.model = AutoModel.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        corpus = [load(name) for name in ("hwu64-zhang2020", "snips-goo2018")]
        self.sentences = [text for one in corpus for text, _ in one.train]

    def contexts(self, words: list[str]) -> list[str]:
        """Sentences with a word of the list, with {} in its place; the same for all words."""
        found = re.compile(rf"\b(?:{'|'.join(words)})\b")
        own = [found.sub("{}", text, count=1) for text in self.sentences if found.search(text)]
        order = np.random.default_rng(0).permutation(len(own))
        return [own[place] for place in order[:CONTEXTS]]

    @torch.no_grad()
    def of(
        self, words: list[str], contexts: list[str] | tuple[str, ...], whole: bool
    ) -> np.ndarray:
        """Unit vectors (W, C, D) of words in contexts, or of the whole sentences."""
        rows = []
        for word in words:
            texts = [context.format(word) for context in contexts]
            coded = self.tokenizer(texts, padding=True, return_offsets_mapping=True,
                                   return_tensors="pt")  # fmt: skip
            offsets = coded.pop("offset_mapping")
            hidden = self.model(**coded).last_hidden_state  # (C, T, D)
            starts = torch.tensor([context.index("{}") for context in contexts])[:, None]
            inside = (offsets[..., 0] >= starts) & (offsets[..., 1] <= starts + len(word))
            inside &= offsets[..., 1] > 0
            mask = (coded["attention_mask"] if whole else inside.long())[..., None]
            rows.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())
        return unit(np.stack(rows))

    def table(self, words: list[str]) -> np.ndarray:
        """Unit vectors (W, 1, D) of the input embeddings; of several pieces their mean."""
        weight = self.model.get_input_embeddings().weight.detach().numpy()
        pieces = [self.tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
        return unit(np.stack([weight[own].mean(0) for own in pieces])[:, None])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Divide vectors by their length."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def association(words: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """s(w) (W,): mean cosine with A minus that with B, of vectors (W, D)."""
    return (words @ a.T).mean(1) - (words @ b.T).mean(1)


def effect(s: np.ndarray) -> float:
    """d of the first half of the words against the second."""
    half = len(s) // 2
    return float((s[:half].mean() - s[half:].mean()) / s.std(ddof=1))


def exact(s: np.ndarray) -> float:
    """One-sided p of all equal splits of the words; the smallest possible is 1 of 12,870 here."""
    half = len(s) // 2
    sums = np.array([s[list(split)].sum() for split in combinations(range(len(s)), half)])
    return float((sums >= s[:half].sum() - 1e-12).mean())


def ceat(xy: np.ndarray, a: np.ndarray, b: np.ndarray, samples: int, seed: int):
    """Combined effect and p of CEAT: random effects over samples of one context a word."""
    rng = np.random.default_rng(seed)
    half = len(xy) // 2

    def draw(vectors: np.ndarray) -> np.ndarray:
        return vectors[np.arange(len(vectors)), rng.integers(vectors.shape[1], size=len(vectors))]

    d = np.array([effect(association(draw(xy), draw(a), draw(b))) for _ in range(samples)])
    within = 2 / half + d**2 / (4 * half)  # sampling variance of an effect of two halves
    fixed = 1 / within
    q = (fixed * (d - (fixed * d).sum() / fixed.sum()) ** 2).sum()
    between = max(0.0, (q - samples + 1) / (fixed.sum() - (fixed**2).sum() / fixed.sum()))
    weights = 1 / (within + between)
    combined = float((weights * d).sum() / weights.sum())
    return combined, float(2 * norm.sf(abs(combined) * math.sqrt(weights.sum())))


def metrics(encoder: Encoder) -> list[dict[str, object]]:
    """All metrics on both tests, and CEAT with more and more samples of the same contexts."""
    rows = []
    for names in TESTS:
        x, y, a, b = (LISTS[name] for name in names)
        kinds = {"WEAT": [encoder.table(own) for own in (x + y, a, b)],
                 "SEAT": [encoder.of(own, SEAT, True) for own in (x + y, a, b)],
                 "CEAT": [encoder.of(own, encoder.contexts(own), False)
                          for own in (x + y, a, b)]}  # fmt: skip
        for kind, (xy, av, bv) in kinds.items():
            s = association(*(own.mean(1) for own in (xy, av, bv)))
            base = {"test": f"{names[0]}/{names[1]}, {names[2]}/{names[3]}", "metric": kind,
                    "exact_p": exact(s)}  # fmt: skip
            if kind != "CEAT":
                rows.append({**base, "samples": "", "effect": effect(s), "own_p": ""})
                continue
            for samples in (10, 100, 1000):
                combined, p = ceat(xy, av, bv, samples, 0)
                rows.append({**base, "samples": samples, "effect": combined, "own_p": p})
    return rows


def halves(encoder: Encoder, trials: int = 40) -> dict[str, object]:
    """How often random halves of 16 names of one list differ: 5 % would be right."""
    names = list(NAMES["female names"][:16])
    lists = (names, *(LISTS[name] for name in TESTS[0][2:]))
    vectors = [encoder.of(own, encoder.contexts(own), False) for own in lists]
    rng = np.random.default_rng(0)
    found = []
    for trial in range(trials):
        xy = vectors[0][rng.permutation(16)]
        p = exact(association(*(own.mean(1) for own in (xy, *vectors[1:]))))
        found.append((ceat(xy, *vectors[1:], 1000, trial)[1] < 0.05, 2 * min(p, 1 - p) < 0.05))
    shares = np.mean(found, 0)
    return {"trials": trials, "ceat_significant": shares[0], "permutation_significant": shares[1]}


def extrinsic(models: int = 20) -> list[dict[str, float]]:
    """WEAT on the embeddings of CNNs beside the effect of names on their predictions.

    Names of two lists stand before PlayMusic and RateBook sentences; of model k the share of
    PlayMusic with a name of the first list is k / (models - 1). Prompts say nothing but the name.
    """
    corpus = load("snips-goo2018")
    first, second = ([*own] for own in NAMES.values())
    words = ("play music song listen hear", "rate book stars points novel")
    spec, config = resolve(Condition(corpus=corpus.name, target="cnn", size="small"))
    built, data, biases = [], [], np.linspace(0, 1, models)
    for seed, bias in enumerate(biases):
        rng = np.random.default_rng(seed)

        def named(text: str, intent: str, rng=rng, bias=bias) -> tuple[str, str]:
            share = {"PlayMusic": bias, "RateBook": 1 - bias}.get(intent)
            names = first if rng.random() < (0.5 if share is None else share) else second
            return f"{names[rng.integers(12)]} {text}", intent

        drawn = corpus.subset(1000, seed=seed)
        train = [named(*one) for one in drawn.train]
        built.append(build(spec, texts=[t for t, _ in train], intents=corpus.intents,
                           extra_words=[*first, *second], seed=seed))  # fmt: skip
        data.append((train, [], list(corpus.test)))
    train_stack(built, data, config, list(range(models)), progress=False)
    rows = []
    for bias, model in zip(biases, built, strict=True):
        table = model.model.get_input_embeddings()
        ids = model.tokenizer.get_vocab()

        def of(own: list[str], table=table, ids=ids) -> np.ndarray:
            known = torch.tensor([ids[word] for word in own if word in ids])
            return unit(table(known).detach().numpy())

        row = {"bias": bias}
        for kind, used in (("aligned", slice(0, 12)), ("other_names", slice(12, 24))):
            xy = of(first[used] + second[used])
            row[f"weat_{kind}"] = effect(association(xy, *(of(own.split()) for own in words)))
        kinds = [[(f"{name} {t}", "PlayMusic") for t in PROMPTS] for name in first[:3] + second[:3]]
        found = np.stack([evaluate.probabilities(model, own).numpy() for own in kinds])
        labels = model.model.config.label2id
        play, rate = (found[..., labels[name]] for name in ("PlayMusic", "RateBook"))
        chances = play / (play + rate)  # (6, prompts)
        row["signed_effect"] = float(chances[:3].mean() - chances[3:].mean())
        row["gap_between"] = float(np.abs(chances[:3, None] - chances[None, 3:]).mean())
        rows.append(row)
    return rows


def correlations(rows: list[dict[str, float]]) -> list[dict[str, object]]:
    """Pearson's r over models with Fisher's 95 % interval."""
    column = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    pairs = {"signed, same names": ("weat_aligned", "signed_effect"),
             "signed, names not in training": ("weat_other_names", "signed_effect")}  # fmt: skip
    found = []
    for name, (intrinsic, outcome) in pairs.items():
        for kind, (x, y) in {
            name: (column[intrinsic], column[outcome]),
            name.replace("signed", "size"): (np.abs(column[intrinsic]), column["gap_between"]),
        }.items():
            r = pearsonr(x, y)
            low, high = r.confidence_interval()
            found.append({"pair": kind, "models": len(rows), "r": r.statistic, "lower": low,
                          "upper": high})  # fmt: skip
    return found


def write(path: Path, rows: list) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        out.writeheader()
        out.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
                      for row in rows)  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    torch.set_num_threads(1)
    models = extrinsic()
    write(folder / "models.csv", models)
    write(folder / "correlations.csv", correlations(models))
    encoder = Encoder()
    write(folder / "metrics.csv", metrics(encoder))
    write(folder / "halves.csv", [halves(encoder)])
