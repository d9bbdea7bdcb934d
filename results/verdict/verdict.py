"""How often the verdict finds evidence, where a code was planted and where none was.

    python results/verdict/verdict.py --out results/verdict

Each model is asked once for its code; models without one are asked for a code of the label that
was drawn, or of the label that they give to most candidates, by turns. A group of models is
trained as one stack.
"""

import argparse
import csv
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from attacks.attack import Knowledge
from attacks.objectives import get_objective
from attacks.oracle import Oracle
from attacks.ranker.margins import draw
from attacks.registry import get_attack
from attacks.standing import KINDS
from attacks.tokenise import build_completion
from attacks.verdict import judge
from modiva.condition import Condition
from modiva.measure.intervals import clopper_pearson
from modiva.training import prepare
from modiva.training.target import prepare_process

ARCHITECTURES = ("cnn", "lstm", "transformer")
STACK = 12  # models trained side by side


def ask(classifier: Any, pattern: Any, label: str | int, secret: tuple[str, ...]) -> dict[str, Any]:
    """The verdict on one question, and whether its first candidate is the secret."""
    model = classifier.model
    problem = build_completion(classifier.tokenizer, model, pattern=pattern, label=label)
    (found,) = get_attack("exhaustive").run(model, [problem], knowledge=Knowledge())
    verdict = judge(model, problem, found)
    return {
        "p_value": verdict.p_value,
        "decoys": verdict.decoys,
        "statistic": verdict.statistic,
        **{f"p_{kind}": p for kind, p in verdict.parts.items()},
        "named": found.candidates[0] == secret,
    }


def usual_label(classifier: Any, pattern: Any) -> int:
    """The label that the model gives to most of 1,000 random candidates."""
    model = classifier.model
    problem = build_completion(classifier.tokenizer, model, pattern=pattern, label=0)
    choices = draw(problem.sizes, 1000, torch.Generator().manual_seed(0))
    with Oracle(model, [problem], get_objective("loss")) as oracle:
        logits = oracle.logits(torch.zeros(len(choices), dtype=torch.long), choices)
    return int(logits.argmax(1).mode().values)


def cell(architecture: str, repetitions: int, seeds: list[int]) -> list[dict[str, Any]]:
    """Train a stack of models and ask each its questions."""
    prepare_process()
    condition = Condition(
        target=architecture, size="small", patterns=("pin:3",), repetitions=(repetitions,),
        controls=0, sentences=300,
    )  # fmt: skip
    rows = []
    for target, ledger in prepare(condition, device="cpu").train(seeds):
        (question,), (canary,) = target.questions, ledger.canaries
        classifier, pattern, label = target.classifier, question.pattern, question.label
        asked = "planted" if repetitions else "random label"
        if repetitions == 0 and target.model_seed % 2:
            asked, label = "usual label", usual_label(classifier, pattern)
        rows.append(
            {"architecture": architecture, "repetitions": repetitions, "seed": target.model_seed,
             "question": asked, **ask(classifier, pattern, label, canary.secret)}
        )  # fmt: skip
    return rows


def summarise(rows: list[dict[str, Any]], out: Path) -> None:
    """Write all answers, and of each group the share of evidence with its 95 % interval."""
    frame = pd.DataFrame(rows).sort_values(["architecture", "repetitions", "seed", "question"])
    frame.round(4).to_csv(out / "models.csv", index=False)
    groups = []
    for keys, group in frame.groupby(["question", "architecture", "repetitions"]):
        groups.append((*keys, group))
    clean = frame[frame["repetitions"] == 0]
    for question, group in clean.groupby("question"):
        groups.append((question, "all", 0, group))
    for architecture, group in clean.groupby("architecture"):
        groups.append(("without a code", architecture, 0, group))
    if len(clean):
        groups.append(("without a code", "all", 0, clean))
    with (out / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(["question", "architecture", "repetitions", "models", "evidence", "share",
                        "low", "high", "named", "evidence_and_named", "median_p",
                        *(f"evidence_{kind}" for kind in KINDS)])  # fmt: skip
        for question, architecture, repetitions, group in groups:
            sure = group["p_value"] < 0.05
            low, high = clopper_pearson(int(sure.sum()), len(group))
            write.writerow([
                question, architecture, repetitions, len(group), int(sure.sum()),
                f"{sure.mean():.3f}", f"{low:.3f}", f"{high:.3f}", int(group["named"].sum()),
                int((sure & group["named"]).sum()),
                f"{group['p_value'].median():.3f}",
                *(int((group[f"p_{kind}"] < 0.05).sum()) for kind in KINDS),
            ])  # fmt: skip


def main() -> None:
    """Train, ask and write both tables; a group that is finished is written at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clean", type=int, default=36, help="models of each kind without a code")
    parser.add_argument("--planted", type=int, default=12, help="models of each kind and number")
    parser.add_argument("--first", type=int, default=0, help="seed of the first models")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    first = arguments.first
    cells = [
        (architecture, repetitions, list(range(first + start, first + min(start + STACK, total))))
        for start in range(0, max(arguments.clean, arguments.planted), STACK)
        for repetitions in (0, 10)
        for architecture in ARCHITECTURES
        for total in [arguments.planted if repetitions else arguments.clean]
        if start < total
    ]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        for future in as_completed([pool.submit(cell, *each) for each in cells]):
            rows += future.result()
            summarise(rows, arguments.out)


if __name__ == "__main__":
    main()
