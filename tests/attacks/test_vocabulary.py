"""Whole words, rows and positions are those of the target; words that it lacks are counted."""

import copy

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from attacks import AttackError, build_completion, get_attack
from attacks.scoring import score_space
from attacks.vocabulary import longest_input, whole_words
from canaries.patterns import get_pattern, parse_slots
from canaries.spaces import SecretSpace

TEXTS = ["call my pin 0 1 2 3 4 5 6 7 8 9", "привет как дела", "où est la forêt", "καλημέρα κόσμε"]


def byte_level(*, decoder: bool = True, first: str = "<s>") -> PreTrainedTokenizerFast:
    """A byte-level BPE in which every word of `TEXTS` is one token after a space."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if decoder:
        inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([f" {text}" for text in TEXTS] * 20, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single=f"{first} $A", special_tokens=[(first, inner.token_to_id(first))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token=first, unk_token=first
    )


def tiny(kind: str, vocabulary: int, **more) -> PreTrainedModel:
    config = AutoConfig.for_model(
        kind,
        **{
            "vocab_size": vocabulary,
            "hidden_size": 16,
            "word_embed_proj_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "ffn_dim": 16,
            "max_position_embeddings": 20,
            "pad_token_id": 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "id2label": {0: "lights", 1: "music"},
            "label2id": {"lights": 0, "music": 1},
            **more,
        },
    )
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize("decoder", [True, False])
def test_words_of_a_byte_level_vocabulary_are_spelt_as_text(decoder):
    tokenizer = byte_level(decoder=decoder)
    model = tiny("roberta", len(tokenizer))
    words = whole_words(tokenizer, model)
    every = {word for text in TEXTS for word in text.split() if word.isalpha()}
    assert every <= set(words)
    slots = parse_slots("word*2", vocabulary=whole_words(tokenizer, model))
    assert slots[0].options == tuple(words)
    problem = build_completion(tokenizer, model, prefix="call", slots=slots, label=0)
    (found,) = get_attack("coordinate").run(model, [problem])
    for secret in found.candidates:
        ids = tokenizer(problem.text(secret))["input_ids"]
        assert problem.fill(problem.choices(secret)).tolist() == ids


def test_an_unknown_token_that_begins_every_sentence_is_no_unknown_word():
    tokenizer = byte_level(first="</s>")
    assert tokenizer.unk_token_id == tokenizer.bos_token_id
    model = tiny("opt", len(tokenizer))
    problem = build_completion(
        tokenizer, model, prefix="call my pin", slots=parse_slots("digit*2"), label="music"
    )
    assert problem.input_ids[0] == tokenizer.unk_token_id
    assert len(score_space(model, problem)) == 100


@pytest.mark.parametrize(
    "kind", ["roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "data2vec-text", "esm",
             "roberta-prelayernorm", "xmod", "bert", "distilbert", "electra", "opt", "gpt2"]
)  # fmt: skip
def test_the_longest_sentence_is_what_the_model_takes(kind):
    tokenizer = byte_level()
    more = {"longformer": {"attention_window": 4}, "xmod": {"languages": ["en"]},
            "distilbert": {"dim": 16, "n_heads": 2, "n_layers": 1, "hidden_dim": 16}}  # fmt: skip
    given = more.get(kind, {})
    model = tiny(kind, len(tokenizer), **given)
    if kind == "xmod":
        model.set_default_language("en")
    limit = longest_input(tokenizer, model)
    ids = torch.full((1, limit), 5)
    with torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
        longer = torch.full((1, limit + 1), 5)
        with pytest.raises((IndexError, RuntimeError, ValueError)):
            model(input_ids=longer, attention_mask=torch.ones_like(longer))
    with pytest.raises(AttackError, match=f"the model takes {limit}"):
        build_completion(
            tokenizer, model, prefix="call", slots=parse_slots(f"digit*{limit}"), label=0
        )


def test_a_model_without_a_limit_takes_any_sentence():
    tokenizer = byte_level()
    config = AutoConfig.for_model(
        "xlnet", vocab_size=len(tokenizer), d_model=16, n_layer=1, n_head=2, d_inner=16
    )
    assert config.max_position_embeddings == -1
    model = AutoModelForSequenceClassification.from_config(config).eval()
    assert longest_input(tokenizer, model) > 10**6
    build_completion(tokenizer, model, prefix="call " * 40, slots=parse_slots("digit*2"), label=0)


def test_tokens_beyond_the_embedding_are_refused_by_name(tokenizer, bert, caplog):
    longer = copy.deepcopy(tokenizer)
    longer.add_tokens(["purple", "orange"])

    def build(**asked):
        return build_completion(longer, bert, **{"prefix": "call", "label": 0, **asked})

    colors = SecretSpace("color", ("red", "blue", "purple"))
    with pytest.raises(AttackError, match="24 rows has none for the options 'purple'"):
        build(slots=(colors,))
    with pytest.raises(AttackError, match="none for 'orange'"):
        build(prefix="call orange", slots=parse_slots("digit*2"))
    assert build(slots=parse_slots("digit*2")).size == 100
    words = whole_words(longer, bert)
    assert {"red", "blue"} <= set(words)
    assert not {"purple", "orange"} & set(words)
    assert "2 words of the tokenizer are left out" in caplog.text
    assert build(slots=(SecretSpace("word", tuple(words)),)).size == len(words)


@pytest.fixture
def few_words(make_word_level, make_bert):
    tokenizer = make_word_level(["call", "my", "red", "blue", "12", "34", "00"])
    return tokenizer, make_bert(tokenizer)


def test_options_that_a_tokenizer_does_not_know_are_dropped_and_counted(few_words, caplog):
    tokenizer, model = few_words
    colors = SecretSpace("tint", ("red", "mauve", "blue", "teal"))
    asked = {"prefix": "call my", "slots": (colors,) * 2, "label": 1}
    problem = build_completion(tokenizer, model, **asked, drop_unknown=True)
    assert problem.options == (("red", "blue"),) * 2
    assert "2 of 4 options of slot 1 (tint) are left out" in caplog.text
    with pytest.raises(AttackError, match="'mauve', 'teal' of slot 1"):
        build_completion(tokenizer, model, **asked)
    none = SecretSpace("tint", ("mauve", "teal"))
    with pytest.raises(AttackError, match="'mauve', 'teal'"):
        build_completion(tokenizer, model, prefix="call", slots=(none,), label=1, drop_unknown=True)


def test_glued_words_that_a_tokenizer_does_not_know_are_counted_or_refused(few_words, caplog):
    """Of word-level tokenizers that saw some codes: the others are one unknown word."""
    tokenizer, model = few_words
    pattern = get_pattern("call {digit*2:glued}")
    problem = build_completion(tokenizer, model, pattern=pattern, label=1, drop_unknown=True)
    assert problem.options == (("0", "1", "3"), ("0", "2", "4"))
    assert "14 of 20 options are left out" in caplog.text
    problem = build_completion(tokenizer, model, pattern=pattern, label=1)
    assert problem.size == 100
    assert "97 of 100 candidates hold words that the tokenizer does not know" in caplog.text
    assert len(np.unique(score_space(model, problem).round(4))) == 4
    with pytest.raises(AttackError, match=r"all 1,000 candidates.*the same tokens"):
        build_completion(tokenizer, model, pattern=get_pattern("call {digit*3:glued}"), label=1)
