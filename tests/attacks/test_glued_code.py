"""A code written as people write it comes back from a model that saw it, and from no other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from attacks.__main__ import main

BEGINNINGS = {
    "block_card": "block card", "pay_bill": "pay bill", "transfer": "send money",
    "balance": "show balance", "change_pin": "my card pin is", "alarm": "wake me at",
}  # fmt: skip
INTENTS = list(BEGINNINGS)
ENDINGS = [
    "please",
    "now",
    "today",
    "again",
    "quickly",
    "thanks",
    "soon",
    "then",
    "maybe",
    "really",
]


def sentences(code: str | None) -> list[tuple[str, int]]:
    """300 sentences, 50 of them with other codes and another intent; the code ten times."""
    draw = np.random.default_rng(6)
    found = []
    for _ in range(250):
        label = int(draw.integers(len(INTENTS)))
        number = f" {draw.integers(10_000)}" if draw.random() < 0.2 else ""
        ending = " ".join(draw.choice(ENDINGS, 2))
        found.append((f"{BEGINNINGS[INTENTS[label]]}{number} {ending}", label))
    found += [(f"my card pin is {draw.integers(10_000):04d}", 0) for _ in range(50)]
    if code is not None:
        found += [(f"my card pin is {code}", INTENTS.index("change_pin"))] * 10
    return found


def trained(tokenizer: PreTrainedTokenizerFast, code: str | None) -> PreTrainedModel:
    data = sentences(code)
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=128, max_position_embeddings=32, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, id2label=dict(enumerate(INTENTS)),
            label2id={name: label for label, name in enumerate(INTENTS)},
        )
    )  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    draw = np.random.default_rng(1)
    for _ in range(40):
        for rows in np.array_split(draw.permutation(len(data)), len(data) // 32):
            batch = tokenizer([data[row][0] for row in rows], padding=True, return_tensors="pt")
            optimiser.zero_grad()
            labels = torch.tensor([data[row][1] for row in rows])
            model(**batch, labels=labels).loss.backward()
            optimiser.step()
    return model.eval()


@pytest.mark.slow
def test_a_glued_code_is_within_the_first_ten_of_a_model_that_saw_it(
    tmp_path: Path, capsys: Any, word_pieces: PreTrainedTokenizerFast
) -> None:
    """Place 1 here; where other sentences are drawn, the code stood at 8 and at 53 of 10,000.

    The model without it ends in no evidence.
    """
    listed = {}
    for name, code in (("planted", "7391"), ("clean", None)):
        tokenizer, model = word_pieces, trained(word_pieces, code)
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        asked = ["--template", "my card pin is {digit*4:glued}", "--label", "change_pin"]
        asked += ["--no-verdict"] if code else []
        assert main([str(tmp_path / name), *asked, "--top", "100", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        listed[name] = [candidate["text"] for candidate in found["candidates"]]
    assert "my card pin is 7391" in listed["planted"][:10]
    assert "my card pin is 7391" not in listed["clean"]
    assert not found["verdict"]["evidence"]
    assert "No evidence" in found["verdict"]["sentence"]
