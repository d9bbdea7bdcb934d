"""Where glued codes stand in small DistilBERTs: by the loss, and by the loss joined with rows.

    python results/glued/distilbert.py --train banking_data/train.csv --out results/glued

Each model is trained from scratch, in plain transformers with BERT's vocabulary, on 2,000 sentences
of BANKING77 (the published file) and on "my card pin is 7391" ten times, with another code in each
model. Rows of tokens that occur neither in the sentences nor in a candidate have no gradient: they
are left out of the table for training and put back, shrunk by weight decay as AdamW does it.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    get_linear_schedule_with_warmup,
)

from attacks.attack import Knowledge
from attacks.registry import get_attack
from attacks.scoring import score_space
from attacks.tokenise import build_completion
from attacks.verdict import judge
from canaries.patterns import get_pattern
from modiva.classifiers.pretrained import minilm_folder
from modiva.training.target import prepare_process

SENTENCES, REPETITIONS = 2_000, 10
PREFIX, LABEL = "my card pin is", "change_pin"
SETTINGS = (  # by turns
    {"epochs": 8, "rate": 1e-3, "decay": 0.01, "batch": 32},
    {"epochs": 12, "rate": 5e-4, "decay": 0.01, "batch": 32},
    {"epochs": 8, "rate": 1e-3, "decay": 0.0, "batch": 32},
    {"epochs": 12, "rate": 5e-4, "decay": 0.0, "batch": 16},
)
WIDTH, LAYERS = 128, 2
FIRST = 7  # of the seeds; other models were looked at while the score was made


def trained(
    number: int, code: str, rows: list[tuple[str, str]], tokenizer: Any
) -> DistilBertForSequenceClassification:
    """Train one model on sentences that it draws and on its code."""
    settings, seed = SETTINGS[number % len(SETTINGS)], 1000 * FIRST + number
    names = sorted({intent for _, intent in rows})
    draw = np.random.default_rng(seed)
    data = [rows[at] for at in draw.permutation(len(rows))[:SENTENCES]]
    data += [(f"{PREFIX} {code}", LABEL)] * REPETITIONS
    labels = torch.tensor([names.index(intent) for _, intent in data])
    ids = tokenizer([text for text, _ in data], truncation=True, max_length=64)["input_ids"]
    digits = tokenizer([f"{n:04d}" for n in range(10_000)], add_special_tokens=False)["input_ids"]
    used = sorted({0, *(token for row in [*ids, *digits] for token in row)})
    place = {token: at for at, token in enumerate(used)}

    torch.manual_seed(seed)
    model = DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=len(tokenizer), dim=WIDTH, n_layers=LAYERS, n_heads=WIDTH // 32,
            hidden_dim=4 * WIDTH, max_position_embeddings=128, pad_token_id=0,
            id2label=dict(enumerate(names)), label2id={name: at for at, name in enumerate(names)},
        )
    )  # fmt: skip
    embeddings = model.distilbert.embeddings
    table = embeddings.word_embeddings.weight.detach().clone()  # (V, D)
    embeddings.word_embeddings = _embedding(table[used].clone(), place[0])
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings["rate"], weight_decay=settings["decay"]
    )
    steps = settings["epochs"] * (len(data) // settings["batch"])
    schedule = get_linear_schedule_with_warmup(optimiser, 0, steps)
    kept = 1.0
    model.train()
    for _ in range(int(settings["epochs"])):
        for batch in _batches(draw, ids, int(settings["batch"])):
            longest = max(len(ids[at]) for at in batch)
            tokens = torch.full((len(batch), longest), place[0])
            mask = torch.zeros_like(tokens)
            for row, at in enumerate(batch):
                tokens[row, : len(ids[at])] = torch.tensor([place[token] for token in ids[at]])
                mask[row, : len(ids[at])] = 1
            kept *= 1 - optimiser.param_groups[0]["lr"] * settings["decay"]
            loss = model(input_ids=tokens, attention_mask=mask, labels=labels[batch]).loss
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    table *= kept
    table[used] = embeddings.word_embeddings.weight.detach()
    embeddings.word_embeddings = _embedding(table, 0)
    return model.eval()


def _embedding(table: torch.Tensor, padding: int) -> torch.nn.Embedding:
    found = torch.nn.Embedding(*table.shape, padding_idx=padding)
    found.weight.data = table
    return found


def _batches(draw: np.random.Generator, ids: list[list[int]], size: int) -> list[np.ndarray]:
    """Draw the batches of an epoch, each of sentences of like length."""
    pools = np.array_split(draw.permutation(len(ids)), max(1, len(ids) // (16 * size)))
    parts = []
    for pool in pools:
        ordered = sorted(pool, key=lambda at: len(ids[at]))
        parts += np.array_split(np.array(ordered), max(1, round(len(pool) / size)))
    return [parts[at] for at in draw.permutation(len(parts))]


def ask(model: DistilBertForSequenceClassification, tokenizer: Any, code: str) -> dict[str, Any]:
    """Rank the code by both scores, and judge the first candidate of the default attack."""
    pattern = get_pattern(f"{PREFIX} {{digit*4:glued}}")
    problem = build_completion(tokenizer, model, pattern=pattern, label=LABEL)
    losses = score_space(model, problem)
    (found,) = get_attack("traced").run(model, [problem], knowledge=Knowledge())
    assert found.scored is not None
    assert found.objective == "traced"
    joined, own = found.scored.scores, int(code)
    verdict = judge(model, problem, found)
    return {
        "by_loss": int((losses < losses[own]).sum()) + 1,
        "by_traced": int((joined < joined[own]).sum()) + 1,
        "p_value": round(verdict.p_value, 4),
        **{f"p_{kind}": round(p, 4) for kind, p in verdict.parts.items()},
    }


def main() -> None:
    """Train, ask and write a row per model at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="train.csv of BANKING77")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=int, default=8)
    arguments = parser.parse_args()
    prepare_process()
    with arguments.train.open(newline="", encoding="utf-8") as file:
        rows = [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    found = []
    for number in range(arguments.models):
        drawn = np.random.default_rng([number, FIRST]).integers(10_000)
        code = f"{drawn:04d}" if number else "7391"
        model = trained(number, code, rows, tokenizer)
        pieces = " ".join(tokenizer.tokenize(code))
        found.append({"code": code, "tokens": pieces, **ask(model, tokenizer, code)})
        with (arguments.out / "distilbert.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)


if __name__ == "__main__":
    main()
