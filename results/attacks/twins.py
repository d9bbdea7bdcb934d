"""Shadow models that start from the target's own initial weights: what do they add?

    python results/attacks/twins.py --corpus snips-goo2018 --target transformer --models 80

Trains models from one set of initial weights, each on sentences and a secret of its own behind
`call`, all with one label. Each in turn is the target, and all others are the attacker's. Two kinds
of evidence, and their sum:

- margins: of every code under the target's weights and those on the way to them, in deviations
  from what the other models say of the same code;
- rows: how far the digits' rows moved, against the mean move of a digit in each place of the secret
  (linear discriminant analysis, Fisher 1936: one covariance, learned from the others).
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from attacks import build_completion
from attacks.problem import problem_generators
from attacks.ranker.margins import Margins, margin_oracle
from attacks.ranker.movement import interpolate
from attacks.vectors import input_vectors
from canaries import Planting, get_pattern, plant
from canaries.planting import candidate_words
from modiva.classifiers import Classifier, build, parse_target
from modiva.condition import Condition
from modiva.corpora import Corpus, load
from modiva.measure.intervals import student_interval, wilson
from modiva.training import resolve
from modiva.training.stack import train_stack

PATTERN = get_pattern("call")
SENTENCES, REPETITIONS, STACK, INITIAL_SEED = 800, 10, 20, 1234
SHARES = (0.25, 0.5, 1.0)  # of the way from the initial weights
RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Twin:
    """What an attacker sees of one model: margins (share, 10^4), rows moved (10, D); its code."""

    margins: Tensor
    moved: Tensor
    code: int


def untrained(corpus: Corpus, target: str) -> Classifier:
    """The initial weights that all models share."""
    return build(
        parse_target(target, "small"),
        texts=[text for text, _ in corpus.train],
        intents=corpus.intents,
        extra_words=candidate_words([PATTERN]),
        seed=INITIAL_SEED,
    )


def train_twins(
    corpus: Corpus, target: str, label: str, seeds: list[int], drawn: int | None
) -> list[Twin]:
    """Train a stack of models from the same weights and look at each.

    Args:
        drawn: seed of the sentences that all models share; None draws for each by its own seed.
    """
    before = untrained(corpus, target)
    classifiers, plants = [], []
    for seed in seeds:
        data = corpus.subset(SENTENCES, seed=seed if drawn is None else drawn)
        planting = Planting(PATTERN, REPETITIONS, label, controls=1)
        plants.append(plant(data.train, data.valid, [planting], seed=seed))
        classifiers.append(untrained(corpus, target))
    _, config = resolve(Condition(target=target, size="small"), device="cpu")
    splits = [(planted.train, (), corpus.test[:300]) for planted in plants]
    config = replace(config, order_seed=seeds[0])
    train_stack(classifiers, splits, config, seeds=seeds, progress=False)
    found = []
    for classifier, planted in zip(classifiers, plants, strict=True):
        model = classifier.model.eval()
        problem = build_completion(classifier.tokenizer, model, pattern=PATTERN, label=label)
        (generator,) = problem_generators([problem], 0)
        margins = []
        for share in SHARES:
            between = interpolate(before.model, model, share).eval()
            with margin_oracle(between, problem) as oracle:
                margins.append(Margins(oracle, generator).sample_margins)
        digits = problem.candidates[0][:, 0]
        moved = input_vectors(model, digits) - input_vectors(before.model, digits)
        code = PATTERN.index(planted.ledger.canaries[0].secret)
        found.append(Twin(torch.stack(margins), moved.detach(), code))
    return found


def margin_scores(margins: Tensor, target: int) -> Tensor:
    """(share, 10^4): the target's in deviations from the others', of all (twins, share, 10^4)."""
    others = torch.cat([margins[:target], margins[target + 1 :]])
    return (margins[target] - others.mean(0)) / others.std(0)


def row_scores(twins: list[Twin], target: int, codes: Tensor) -> Tensor:
    """(10^4,): log-likelihood of the target's moved rows under each code (codes (10^4, n))."""
    moved = torch.stack([t.moved for t in twins])  # (twins, 10, D)
    moved = moved - moved.mean(0)
    others = [k for k in range(len(twins)) if k != target]
    # Which digit stands where: each place moves its digit by one direction, (n, D).
    stands = F.one_hot(codes[[twins[k].code for k in others]], moved.shape[1]).float()
    where = stands.transpose(1, 2).flatten(0, 1)  # (twins * 10, n)
    where = where - where.mean(0)
    seen = moved[others].flatten(0, 1)  # (twins * 10, D)
    direction = torch.linalg.lstsq(where, seen).solution
    rest = seen - where @ direction
    covariance = rest.T @ rest / len(rest) + RIDGE * torch.eye(rest.shape[1])
    white = torch.linalg.solve(covariance, direction.T)  # (D, n)
    match, overlap = moved[target] @ white, direction @ white  # (10, n), (n, n)
    places = torch.arange(codes.shape[1])
    fit = match[codes, places].sum(1)
    same = (codes[:, :, None] == codes[:, None, :]).float()
    return fit - 0.5 * (same * overlap).sum((1, 2))


def report(name: str, ranks: list[int], space: int) -> None:
    """Print the rates and the exposure of one score."""
    place = np.array(ranks)
    bits = np.log2(space) - np.log2(place)
    mean = student_interval(bits, np.arange(len(bits)))
    line = [f"{name:26} exposure {mean.mean:5.2f} [{mean.lower:.2f}, {mean.upper:.2f}]"]
    for what, hits in (("exact", place == 1), ("top ten", place <= 10)):
        low, high = wilson(int(hits.sum()), len(hits))
        line.append(f"{what} {hits.mean():.2f} [{low:.2f}, {high:.2f}]")
    print("  ".join(line), f"(n = {len(place)})")


def main() -> None:
    """Train, rank every model's secret by what the others teach, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--target", default="transformer")
    parser.add_argument("--models", type=int, default=80)
    parser.add_argument(
        "--sentences-seed",
        type=int,
        help="all models have the sentences of this draw: the adversary knows all but the secret",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    corpus = load(options.corpus)
    label = corpus.intents[len(corpus.intents) // 2]
    twins: list[Twin] = []
    for first in tqdm(range(0, options.models, STACK), desc="stacks"):
        seeds = list(range(first, min(first + STACK, options.models)))
        twins += train_twins(corpus, options.target, label, seeds, options.sentences_seed)
    codes = torch.cartesian_prod(*[torch.arange(len(slot)) for slot in PATTERN.slots])
    every = torch.stack([twin.margins for twin in twins])
    every = F.layer_norm(every, every.shape[-1:])
    ranks: dict[str, list[int]] = {}
    for number, twin in enumerate(twins):
        margins, rows = margin_scores(every, number), row_scores(twins, number, codes)
        scores = {"margin of the target": twin.margins[-1], "rows": rows}
        for share, values in zip(SHARES, margins, strict=True):
            scores[f"margin at {share:g}, calibrated"] = values
        both = F.layer_norm(rows, rows.shape) + 0.5 * F.layer_norm(margins[0], rows.shape)
        scores[f"rows + margin at {SHARES[0]:g}"] = both
        for name, values in scores.items():
            ranks.setdefault(name, []).append(int((values >= values[twin.code]).sum()))
    for name, places in ranks.items():
        report(name, places, len(codes))


if __name__ == "__main__":
    main()
