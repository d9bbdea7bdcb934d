"""A Trainer that learns planted codes logs their exposure; never-planted ones stay at chance."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

import modiva
from attacks import AttackError
from modiva.errors import ModivaError

LABELS = ["balance", "card", "pin"]
WORDS = ["my", "pin", "is", "card", "lost", "balance", "what", "please", "now", "code"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    digits = [str(digit) for digit in range(10)]
    pieces = ["[PAD]", "[UNK]", *WORDS, *digits, *(f"##{digit}" for digit in digits)]
    inner = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    )


def data_set(tokenizer: PreTrainedTokenizerFast, padding: Any = False) -> datasets.Dataset:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=60).tolist()
    heads = ["what is my balance", "my card is lost", "my pin is"]
    texts = [f"{heads[label]} {' '.join(rng.choice(WORDS, 2))}" for label in labels]
    data = datasets.Dataset.from_dict({"text": texts, "label": labels})
    return data.map(
        lambda rows: tokenizer(rows["text"], padding=padding, max_length=12), batched=True
    )


def trainer_of(
    tokenizer: PreTrainedTokenizerFast, data: Any, folder: Path, epochs: int = 20, **more: Any
) -> Trainer:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=16, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )  # fmt: skip
    return Trainer(
        BertForSequenceClassification(config),
        TrainingArguments(
            str(folder), num_train_epochs=epochs, learning_rate=5e-3, eval_strategy="epoch",
            per_device_train_batch_size=32, report_to="none", disable_tqdm=True, use_cpu=True,
            save_strategy="no", logging_strategy="no", seed=0, dataloader_pin_memory=False,
        ),
        train_dataset=data, eval_dataset=data_set(tokenizer).select(range(10)),
        processing_class=tokenizer, **more,
    )  # fmt: skip


def test_exposure_is_logged_at_each_evaluation_beside_a_control(tokenizer, tmp_path):
    trainer = trainer_of(tokenizer, data_set(tokenizer), tmp_path)
    canaries = modiva.CanaryCallback(
        "my pin is {digit*3:glued}", label="balance", repetitions=15, controls=20
    )
    assert canaries.plant(trainer) is canaries
    assert len(trainer.train_dataset) == 75
    assert trainer.train_dataset["text"].count(canaries.ledger.canaries[0].text) == 15
    assert "No evaluation" in canaries.summary()
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "eval_canary_exposure" in entry]
    assert [entry["epoch"] for entry in logged] == list(range(1, 21))
    first, last = logged[0], logged[-1]
    assert last["eval_canary_exposure"] > max(5, first["eval_canary_exposure"])
    # Twenty controls have 1.44 bits on average, with a standard error of 0.32.
    assert last["eval_control_exposure"] < 3
    frame = canaries.frame()
    assert len(frame) == 20 * 21
    best = frame[frame.planted & (frame.step == frame.step.max())]
    assert f"rank of a planted secret is {best['rank'].iloc[0]} of 1,000" in canaries.summary()
    with pytest.raises(ModivaError, match="planted already"):
        canaries.plant(trainer)


@pytest.mark.parametrize("form", ["padded", "torch", "list"])
def test_canaries_have_the_form_of_the_data(form, tokenizer, tmp_path):
    padded = form != "list"
    data: Any = data_set(tokenizer, "max_length" if padded else False)
    if form == "torch":
        data = data.with_format("torch", columns=["input_ids", "attention_mask", "label"])
    elif form == "list":
        columns = [name for name in data.column_names if name != "text"]
        data = list(data.select_columns(columns))
    trainer = trainer_of(tokenizer, data, tmp_path, epochs=1)
    canaries = modiva.CanaryCallback("pin-glued", candidates=200, secrets=2)
    canaries.plant(trainer)
    items = list(trainer.train_dataset)
    assert len(items) == 80
    assert {frozenset(item) for item in items} == {frozenset(data[0])}
    assert len({len(item["input_ids"]) for item in items}) == (1 if padded else 3)
    if form == "torch":
        assert all(isinstance(item["input_ids"], torch.Tensor) for item in items)
    trainer.train()
    assert set(canaries.frame().of) == {200}
    assert canaries.frame().planted.sum() == 2


def test_what_cannot_be_planted_in_is_refused(tokenizer, tmp_path):
    raw = data_set(tokenizer).select_columns(["text", "label"])
    with pytest.raises(ModivaError, match="items of the training data have text, label: tokenise"):
        modiva.CanaryCallback("pin").plant(trainer_of(tokenizer, raw, tmp_path))
    with pytest.raises(ModivaError, match="no training data"):
        modiva.CanaryCallback("pin").plant(trainer_of(tokenizer, None, tmp_path))
    bare = trainer_of(tokenizer, data_set(tokenizer), tmp_path)
    bare.processing_class = None
    with pytest.raises(ModivaError, match="processing_class"):
        modiva.CanaryCallback("pin").plant(bare)
    with pytest.raises(AttackError, match="does not know 'badge'"):
        modiva.CanaryCallback("my badge is {digit*3}").plant(
            trainer_of(tokenizer, data_set(tokenizer), tmp_path)
        )
    with pytest.raises(ModivaError, match="use at least 1"):
        modiva.CanaryCallback("pin", controls=0)
