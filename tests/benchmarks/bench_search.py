"""Coordinate search against the exhaustive optimum, against nanoGCG, and where neither can go.

    pip install --no-deps nanogcg==0.3.0
    python tests/benchmarks/bench_search.py --corpora FOLDER --out results/search

FOLDER holds `hwu64` and `snips_original`. Targets are small CNNs, LSTMs and transformers, each
trained on 800 sentences of HWU64 with one secret of each kind planted ten times. One row a problem
and search; seconds are processor time of one thread. `--optima FILE` keeps the optima of
enumerated spaces, which take most of the time, for the next run.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from nanogcg_classifier import run_nanogcg
from search_targets import Planted, train_planted

from attacks import get_attack
from attacks.frontier import candidate_pool
from attacks.objectives import get_objective
from attacks.oracle import Oracle
from attacks.problem import problem_generators
from attacks.scoring import score_space

ENUMERATED = ("digits-4", "digits-6")
POOLED = ("digits-6", "digits-10")
POOL_SIZES = (1000, 5000)
FIELDS = (
    "target", "model", "kind", "search", "seed", "evaluations", "share_of_space", "seconds",
    "score", "optimum", "found", "secret_found",
)  # fmt: skip


class Optima:
    """Exhaustive optima by target, model and kind, kept in a file of JSON lines."""

    def __init__(self, path: Path | None, *, only_kept: bool) -> None:
        self.path, self.only_kept = path, only_kept
        lines = path.read_text().splitlines() if path and path.exists() else []
        self.kept = {tuple(key): value for key, value in map(json.loads, lines)}

    def get(self, key: tuple[str, int, str], planted: Planted) -> float | None:
        """The optimum, enumerated unless it is kept; None where it may not be enumerated."""
        if key not in self.kept and not self.only_kept:
            space = score_space(planted.classifier.model, planted.problems[key[2]])
            self.kept[key] = float(space.min())
            if self.path:
                with self.path.open("a") as file:
                    file.write(json.dumps([key, self.kept[key]]) + "\n")
        return self.kept.get(key)


def reaches(score: float, optimum: float) -> bool:
    """Whether a score is the optimum's, up to the rounding of another batch."""
    return score <= optimum + 1e-6 + 1e-5 * abs(optimum)


def search_rows(
    key: tuple[str, int, str], planted: Planted, optimum: float | None, seeds: int, gcg: bool
) -> Iterator[dict[str, Any]]:
    """Coordinate search from several seeds, and nanoGCG at its evaluations and at ten times."""
    problem, secret = planted.problems[key[2]], planted.secrets[key[2]]
    attack = get_attack("coordinate")
    for seed in range(seeds):
        began = time.process_time()
        (found,) = attack.run(planted.classifier.model, [problem], seed=seed)
        seconds = time.process_time() - began
        right = found.candidates[0] == problem.secret(secret)
        yield row(key, "coordinate", seed, found.evaluations, problem.size, seconds,
                  found.scores[0], optimum, right)  # fmt: skip
        for times in (1, 10) if gcg and seed == 0 else ():
            other = run_nanogcg(planted.classifier, problem, times * found.evaluations, seed)
            yield row(key, f"nanogcg x{times}", seed, other.evaluations, problem.size,
                      other.seconds, other.score, optimum, None)  # fmt: skip


def pool_rows(key: tuple[str, int, str], planted: Planted, size: int) -> dict[str, Any]:
    """Whether a pool of candidates holds the secret."""
    problem, secret = planted.problems[key[2]], torch.tensor(planted.secrets[key[2]])
    began = time.process_time()
    with Oracle(planted.classifier.model, [problem], get_objective("loss")) as oracle:
        (pool,) = candidate_pool(oracle, problem_generators([problem], 0), size)
    held = bool((pool == secret).all(1).any())
    return row(key, f"pool {size}", 0, oracle.evaluations[0], problem.size,
               time.process_time() - began, None, None, held)  # fmt: skip


def row(
    key: tuple[str, int, str], search: str, seed: int, evaluations: int, size: int,
    seconds: float, score: float | None, optimum: float | None, secret_found: bool | None,
) -> dict[str, Any]:  # fmt: skip
    """One line of the table."""
    both = score is not None and optimum is not None
    found = reaches(score, optimum) if both else None  # type: ignore[arg-type]
    values = (*key, search, seed, evaluations, f"{evaluations / size:.3g}", f"{seconds:.3f}",
              score, optimum, found, secret_found)  # fmt: skip
    return dict(zip(FIELDS, values, strict=True))


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print one line a target, kind and search."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in rows:
        groups.setdefault((one["kind"], one["target"], one["search"]), []).append(one)
    print("kind       target       search         n  optimum  secret  evaluations (most)  seconds")
    for (kind, target, search), its in sorted(groups.items()):
        judged = [one["found"] for one in its if one["found"] is not None]
        right = [one["secret_found"] for one in its if one["secret_found"] is not None]
        spent = [one["evaluations"] for one in its]
        optimum = f"{sum(judged)}/{len(judged)}" if judged else "-"
        secret = f"{sum(right)}/{len(right)}" if right else "-"
        seconds = sum(float(one["seconds"]) for one in its) / len(its)
        print(f"{kind:10} {target:12} {search:12} {len(its):3} {optimum:>8} {secret:>7} "
              f"{sum(spent) / len(its):11,.0f} ({max(spent):,}) {seconds:8.2f}")  # fmt: skip


def main() -> None:
    """Train, search, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--optima", type=Path)
    parser.add_argument("--only-kept", action="store_true", help="enumerate nothing anew")
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--long-models", type=int, default=4)
    parser.add_argument("--pool-models", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--targets", nargs="+", default=["cnn", "lstm", "transformer"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    optima = Optima(args.optima, only_kept=args.only_kept)
    rows: list[dict[str, Any]] = []
    for target in args.targets:
        digits = ["digits-4", "digits-6", "digits-10"]
        for model, planted in enumerate(train_planted(args.corpora, target, digits, args.models)):
            for kind in digits:
                key = (target, model, kind)
                optimum = optima.get(key, planted) if kind in ENUMERATED else None
                if optimum is not None or (kind == "digits-10" and model < args.long_models):
                    rows += search_rows(key, planted, optimum, args.seeds, kind in ENUMERATED)
                if kind in POOLED and model < args.pool_models:
                    rows += [pool_rows(key, planted, size) for size in POOL_SIZES]
        words = train_planted(args.corpora, target, ["words-6"], args.long_models)
        for model, planted in enumerate(words):
            rows += search_rows((target, model, "words-6"), planted, None, args.seeds, False)
        summarise([one for one in rows if one["target"] == target])
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        with (args.out / "summary.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
