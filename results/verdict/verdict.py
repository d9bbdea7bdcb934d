"""How often the verdict finds evidence, where a code was planted and where none was.

    python results/verdict/verdict.py --out results/verdict

Each model is asked once for its code; models without one are asked for a code of the label that
was drawn and for one of the label that they give to most candidates. Models with a code are asked
for one after other words, with another label, too. A group of models is trained as one stack.
"""

import argparse
import csv
import random
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from attacks.attack import Knowledge
from attacks.objectives import get_objective
from attacks.oracle import Oracle
from attacks.registry import get_attack
from attacks.tokenise import build_completion
from attacks.verdict import judge
from canaries import get_pattern
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
        "label_given": verdict.label_given,
        "named": found.candidates[0] == secret,
    }


def usual_label(classifier: Any, pattern: Any) -> int:
    """The label that the model gives to most of 1,000 random candidates."""
    model = classifier.model
    problem = build_completion(classifier.tokenizer, model, pattern=pattern, label=0)
    draw = torch.Generator().manual_seed(0)
    choices = torch.stack([torch.randint(s, (1000,), generator=draw) for s in problem.sizes], 1)
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
    trained = prepare(condition, device="cpu").train(seeds)
    rows = []
    for target, ledger in trained:
        (question,), (canary,) = target.questions, ledger.canaries
        labels = [*target.classifier.model.config.id2label.values()]
        asked = {
            "random label" if repetitions == 0 else "planted": (question.pattern, question.label)
        }
        if repetitions == 0:
            asked["usual label"] = (
                question.pattern,
                usual_label(target.classifier, question.pattern),
            )
        else:
            others = sorted({*labels} - {question.label})
            label = random.Random(target.model_seed).choice(others)
            asked["other words and label"] = (get_pattern("turn on the {digit*3}"), label)
        rows += [
            {"architecture": architecture, "repetitions": repetitions, "seed": target.model_seed,
             "question": name, **ask(target.classifier, pattern, label, canary.secret)}
            for name, (pattern, label) in asked.items()
        ]  # fmt: skip
    return rows


def summarise(rows: list[dict[str, Any]], out: Path) -> None:
    """Write the share of each group that ends in evidence, with 95 % Clopper-Pearson intervals."""
    groups = []
    for keys, group in pd.DataFrame(rows).groupby(["question", "architecture", "repetitions"]):
        groups.append((*keys, group))
    frame = pd.DataFrame(rows)
    for question, group in frame[frame["question"] != "planted"].groupby("question"):
        groups.append((question, "all", "all", group))
    with (out / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(["question", "architecture", "repetitions", "models", "evidence", "share",
                        "low", "high", "named", "evidence_and_named", "median_p"])  # fmt: skip
        for question, architecture, repetitions, group in groups:
            sure = group["p_value"] < 0.05
            low, high = clopper_pearson(int(sure.sum()), len(group))
            write.writerow([
                question, architecture, repetitions, len(group), int(sure.sum()),
                f"{sure.mean():.3f}", f"{low:.3f}", f"{high:.3f}", int(group["named"].sum()),
                int((sure & group["named"]).sum()), f"{group['p_value'].median():.3f}",
            ])  # fmt: skip


def main() -> None:
    """Train, ask and write `summary.csv`; a group that is finished is written at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clean", type=int, default=36, help="models of each kind without a code")
    parser.add_argument("--planted", type=int, default=8, help="models of each kind and number")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    cells = [
        (architecture, repetitions, list(range(start, min(start + STACK, total))))
        for start in range(0, max(arguments.clean, arguments.planted), STACK)
        for repetitions in (0, 10, 30, 1)
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
