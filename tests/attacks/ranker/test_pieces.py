"""Evidence of glued secrets: gradients at a candidate's own tokens, and margins of its text."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from attacks import AttackError, Knowledge, build_completion, get_attack
from attacks.ranker.margins import margin_oracle
from attacks.ranker.pieces import pieces, shared
from canaries import get_pattern

PATTERN = get_pattern("my pin is {digit*3:glued} now")
PIECES = ["my", "pin", "is", "now", *"0123456789", *(f"##{d}" for d in range(10)), "73", "##91"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """One whose codes are two or three tokens."""
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *PIECES])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def target(kind: str, vocabulary: int) -> PreTrainedModel:
    torch.manual_seed(0)
    if kind == "bert":
        config = BertConfig(
            vocab_size=vocabulary, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=24, initializer_range=0.5, num_labels=3,
        )  # fmt: skip
        return BertForSequenceClassification(config).eval()
    return GPT2ForSequenceClassification(
        GPT2Config(
            vocab_size=vocabulary, n_positions=24, n_embd=16, n_layer=1, n_head=2, num_labels=3,
            pad_token_id=0, initializer_range=0.5,
        )
    ).eval()  # fmt: skip


def margin(logits: Any) -> Any:
    return logits[0, 1] - torch.cat([logits[0, :1], logits[0, 2:]]).logsumexp(0)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_gradients_are_those_of_the_text_at_its_own_tokens(kind: str, tokenizer: Any) -> None:
    model = target(kind, len(tokenizer))
    problem = build_completion(tokenizer, model, pattern=PATTERN, label=1)
    secrets = [tuple("739"), tuple("004"), tuple("791"), tuple("191")]
    choices = torch.tensor([problem.choices(secret) for secret in secrets])
    start, end = shared(problem.texts)
    assert (start, end) == (4, 2)  # [CLS] my pin is, now [SEP]
    with margin_oracle(model, problem) as oracle:
        found = pieces(oracle, choices)
        assert oracle.evaluations == (3 * len(secrets),)
    table: Any = model.get_input_embeddings()
    for row, secret in enumerate(secrets):
        encoded = tokenizer(PATTERN.fill(secret), return_tensors="pt")
        seen: list[torch.Tensor] = []

        def keep(module: Any, args: Any, output: torch.Tensor, seen: Any = seen) -> None:
            output.retain_grad()
            seen.append(output)

        handle = table.register_forward_hook(keep)
        its = margin(model(**encoded).logits)
        its.backward()
        handle.remove()
        length = encoded["input_ids"].shape[1]
        own = seen[0].grad[0, start : length - end]
        assert found.present[row].sum() == len(own)
        torch.testing.assert_close(found.margin[row], its.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.gradient[row, : len(own)], own, rtol=1e-3, atol=1e-5)
        assert not found.gradient[row, len(own) :].any()


def test_contrast_of_a_glued_code_is_that_of_the_texts_beside_it(tokenizer: Any) -> None:
    model = target("bert", len(tokenizer))
    problem = build_completion(tokenizer, model, pattern=PATTERN, label=1)
    with torch.no_grad():
        margins = torch.tensor([
            float(margin(model(**tokenizer(PATTERN.fill(PATTERN.secret(index)),
                                           return_tensors="pt")).logits))
            for index in range(PATTERN.size)
        ]).view(10, 10, 10)  # fmt: skip
    beside = sum((margins.sum(slot, keepdim=True) - margins) for slot in range(3)) / 27
    contrast = (margins - beside).flatten()
    (found,) = get_attack("contrast").run(model, [problem])
    listed = [PATTERN.index(secret) for secret in found.candidates]
    torch.testing.assert_close(
        contrast[listed], contrast.sort(descending=True).values[: len(listed)], rtol=1e-3, atol=1e-4
    )
    for name in ("alignment", "standardised", "rows"):
        (ranked,) = get_attack(name).run(model, [problem])
        assert len(set(ranked.candidates)) == len(ranked.candidates) == 100


def test_moved_rows_need_places(tokenizer: Any) -> None:
    model = target("bert", len(tokenizer))
    problem = build_completion(tokenizer, model, pattern=PATTERN, label=1)
    knowledge = Knowledge(initial=target("bert", len(tokenizer)))
    with pytest.raises(AttackError, match="merges the slots of 'my pin is 000 now'"):
        get_attack("movement").run(model, [problem], knowledge=knowledge)
