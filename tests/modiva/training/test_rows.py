"""Training the used rows of an embedding alone is training all of them."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from modiva.training.batches import EncodedSplit
from modiva.training.config import TrainConfig
from modiva.training.evaluate import evaluate
from modiva.training.rows import use_rows
from modiva.training.steps import PlainSteps

SMALL = {"vocab_size": 200, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
         "num_labels": 3}  # fmt: skip
MODELS = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SMALL, intermediate_size=8)),
    # Its positions are counted from the ids of padding.
    "roberta": lambda: RobertaForSequenceClassification(
        RobertaConfig(**SMALL, intermediate_size=8, pad_token_id=1, max_position_embeddings=40)
    ),
    "gpt2": lambda: GPT2ForSequenceClassification(GPT2Config(**SMALL, pad_token_id=0)),
}
CONFIG = TrainConfig(epochs=2, batch_size=4, learning_rate=0.01, weight_decay=0.1)


def split(pad, seed=0, words=20):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 8, (24,), generator=generator)
    ids = torch.randint(5, 5 + words, (24, 7), generator=generator)
    ids[torch.arange(7) >= lengths[:, None]] = pad
    return EncodedSplit(ids, lengths, torch.randint(3, (24,), generator=generator))


def made(name):
    torch.manual_seed(0)
    return MODELS[name]().train()


def train(model, data, watched=()):
    steps = PlainSteps(model, data, CONFIG, watched)
    torch.manual_seed(1)  # of dropout
    for _ in range(CONFIG.epochs):
        steps.epoch()
    steps.close()
    return steps


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_those_of_training_the_whole_table(name):
    data = split(pad=1 if name == "roberta" else 0)
    every_word = EncodedSplit(torch.arange(200)[None], torch.tensor([7]), torch.tensor([0]))
    rows, table = made(name), made(name)
    assert train(rows, data).rows is not None
    steps = train(table, data, watched=(every_word,))
    assert steps.rows is None
    for (key, ours), theirs in zip(rows.named_parameters(), table.parameters(), strict=True):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, atol=1e-6), key
    # The last word is in no sentence: it decays, and does nothing else.
    word = rows.get_input_embeddings().weight[199] / made(name).get_input_embeddings().weight[199]
    assert torch.allclose(word, torch.tensor((1 - 0.01 * 0.1) ** steps.steps), rtol=1e-5)


def test_only_the_rows_in_use_are_parameters_meanwhile_and_logits_are_the_same():
    torch.manual_seed(0)
    model = MODELS["bert"]()
    data, other = split(pad=0), split(pad=0, seed=1, words=30)
    before, size = evaluate(model, other), model.num_parameters()
    rows = use_rows(model, (data, other))
    assert rows is not None
    used = len(torch.cat([data.ids, other.ids]).unique())
    assert model.num_parameters() == size - (200 - used) * 8
    assert evaluate(model, other) == before
    rows.put_back(model, 0.1)
    assert evaluate(model, other) == before


def test_tables_that_are_small_frozen_or_shared_stay():
    data = split(pad=0)
    small = MODELS["bert"]()
    assert use_rows(small, (data, split(pad=0, words=150))) is None
    frozen = MODELS["bert"]()
    frozen.get_input_embeddings().weight.requires_grad_(False)
    assert use_rows(frozen, (data,)) is None
    shared = MODELS["bert"]()
    shared.again = torch.nn.Linear(8, 200, bias=False)
    shared.again.weight = shared.get_input_embeddings().weight
    assert use_rows(shared, (data,)) is None
