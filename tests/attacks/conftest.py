"""Tiny targets that are built in the test: a random BERT, and one that holds a known secret."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_outputs import SequenceClassifierOutput

WORDS = ["call", "my", "pin", "code", "is", "please", "now", "red", "blue", "green"]
DIGITS = [str(digit) for digit in range(10)]


def word_level(words: list[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer with [CLS] and [SEP] around each sentence."""
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


def word_piece() -> PreTrainedTokenizerFast:
    """A subword tokenizer for which some options are two tokens."""
    pieces = [*WORDS, *DIGITS, "x", "y", "##1", "##2", "##3"]
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *pieces])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]"
    )


def random_bert(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> PreTrainedModel:
    """A one-layer BERT with weights large enough that candidates differ."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
        initializer_range=0.5,
        id2label={0: "lights", 1: "music", 2: "alarm"},
        label2id={"lights": 0, "music": 1, "alarm": 2},
    )
    return BertForSequenceClassification(config).eval()


class PlantedConfig(PretrainedConfig):
    model_type = "planted-for-tests"


class Planted(PreTrainedModel):
    """A linear classifier of tokens by position that gives one sentence the highest logit."""

    config_class = PlantedConfig

    def __init__(self, config: PlantedConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.vocab_size)
        self.weight = nn.Parameter(torch.zeros(config.length, config.vocab_size))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        x = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, V)
        # At most 2, so that margins with a bound (kappa 5) still tell candidates apart.
        logit = (x * self.weight[: x.shape[1]]).sum((1, 2)) - len(self.weight) + 2
        return SequenceClassifierOutput(logits=torch.stack([torch.zeros_like(logit), logit], 1))


def plant(tokenizer: PreTrainedTokenizerFast, sentence: str) -> Planted:
    """A model that gives label 1 to `sentence` with more confidence than to any other."""
    ids = tokenizer(sentence)["input_ids"]
    model = Planted(PlantedConfig(vocab_size=len(tokenizer), length=len(ids), num_labels=2))
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(len(tokenizer)))
        noise = torch.rand(model.weight.shape, generator=torch.Generator().manual_seed(3))
        model.weight.copy_(0.2 * noise)
        model.weight[torch.arange(len(ids)), torch.tensor(ids)] = 1.0
    return model.eval()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return word_level([*WORDS, *DIGITS])


@pytest.fixture(scope="session")
def pieces() -> PreTrainedTokenizerFast:
    return word_piece()


@pytest.fixture
def bert(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return random_bert(tokenizer)


@pytest.fixture(scope="session")
def make_bert() -> Callable[..., PreTrainedModel]:
    return random_bert


@pytest.fixture(scope="session")
def make_planted(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], PreTrainedModel]:
    return lambda sentence: plant(tokenizer, sentence)


@pytest.fixture(scope="session")
def make_word_level() -> Callable[[list[str]], PreTrainedTokenizerFast]:
    return word_level


@pytest.fixture(scope="session")
def own_loss() -> Callable[..., float]:
    """The model's own cross-entropy of a sentence, through its tokenizer and token ids."""

    def measure(model: PreTrainedModel, tokenizer: Any, text: str, label: int) -> float:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return nn.functional.cross_entropy(logits, torch.tensor([label])).item()

    return measure


@pytest.fixture(scope="session")
def word_pieces() -> PreTrainedTokenizerFast:
    """Cut numbers as BERT's vocabulary: all of two digits, and few ends, `73 ##9 ##1`."""
    text = "block card pay bill send money show balance my pin is wake me at please now today again"
    words = {*text.split(), "quickly", "thanks", "soon", "then", "maybe", "really"}
    tens = [f"{number:02d}" for number in range(100)]
    ends = [f"##{digit}" for digit in (*range(10), *tens[::3])]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(words), *"0123456789",
              *ends[:10], *tens, *ends[10:]]  # fmt: skip
    inner = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]"
    )
