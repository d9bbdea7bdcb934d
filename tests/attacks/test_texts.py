"""Secrets as people write them: candidates are text, and score as a plain loop scores them."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from attacks import AttackError, build_completion, get_attack
from attacks.__main__ import main
from attacks.decoys import decoys
from attacks.objectives import get_objective
from attacks.oracle import Oracle
from attacks.scoring import score_choices, score_space
from canaries import get_pattern

rng = np.random.default_rng(0)
NUMBERS = [str(number) for number in rng.integers(0, 10_000, 60)] * 3
SENTENCES = [
    f"{text} {number}"
    for text, number in zip(
        [
            "my card pin is", "pay the bill of", "wake me up at 7:30 pm on day",
            "mail anna07@house.com about", "My code: $12.50 for", "transfer money to account",
        ] * 30,
        NUMBERS,
        strict=True,
    )
]  # fmt: skip


def word_pieces(more: Sequence[str] = (), size: int = 260) -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    inner.train_from_iterator(
        [*SENTENCES, *more],
        trainers.WordPieceTrainer(
            vocab_size=size,
            special_tokens=special,
            initial_alphabet=list("0123456789"),
            show_progress=False,
        ),
    )
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip


def byte_pairs(*, frame: bool) -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    inner.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if frame:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def sentence_pieces(*, single: str) -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    inner.train_from_iterator(
        SENTENCES,
        trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    inner.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", cls_token="<s>",
        sep_token="</s>",
    )  # fmt: skip


def llama_pieces() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    inner.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False),
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


SIZE: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 64, "initializer_range": 0.3, "num_labels": 3,
}  # fmt: skip
KINDS: dict[str, tuple[Callable[[], PreTrainedTokenizerFast], Callable[[int], PretrainedConfig]]]
KINDS = {
    "bert": (word_pieces, lambda n: BertConfig(vocab_size=n, **SIZE)),
    "distilbert": (
        word_pieces,
        lambda n: DistilBertConfig(
            vocab_size=n, dim=32, n_layers=2, n_heads=2, hidden_dim=64, num_labels=3,
            initializer_range=0.3,
        ),
    ),
    "electra": (word_pieces, lambda n: ElectraConfig(vocab_size=n, embedding_size=16, **SIZE)),
    "roberta": (
        lambda: byte_pairs(frame=True),
        lambda n: RobertaConfig(vocab_size=n, pad_token_id=0, type_vocab_size=1, **SIZE),
    ),
    "albert": (
        lambda: sentence_pieces(single="<s> $A </s>"),
        lambda n: AlbertConfig(vocab_size=n, embedding_size=16, **SIZE),
    ),
    "deberta-v2": (
        lambda: sentence_pieces(single="<s> $A </s>"),
        lambda n: DebertaV2Config(
            vocab_size=n, relative_attention=True, pos_att_type=["p2c", "c2p"],
            type_vocab_size=0, **SIZE,
        ),
    ),
    "xlm-r": (
        lambda: sentence_pieces(single="<s> $A </s>"),
        lambda n: XLMRobertaConfig(vocab_size=n, pad_token_id=0, type_vocab_size=1, **SIZE),
    ),
    "gpt2": (
        lambda: byte_pairs(frame=False),
        lambda n: GPT2Config(
            vocab_size=n, n_positions=64, n_embd=32, n_layer=2, n_head=2, num_labels=3,
            pad_token_id=0, initializer_range=0.3,
        ),
    ),
    "llama": (llama_pieces, lambda n: LlamaConfig(vocab_size=n, num_key_value_heads=2, **SIZE)),
    "modernbert": (
        lambda: byte_pairs(frame=True),
        lambda n: ModernBertConfig(
            vocab_size=n, pad_token_id=0, attn_implementation="eager", reference_compile=False,
            **SIZE,
        ),
    ),
}  # fmt: skip


def checkpoint(kind: str) -> tuple[PreTrainedTokenizerFast, PreTrainedModel]:
    make_tokenizer, make_config = KINDS[kind]
    tokenizer = make_tokenizer()
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_config(make_config(len(tokenizer)))
    return tokenizer, model.eval()


def plain_margins(tokenizer: Any, model: PreTrainedModel, texts: list[str]) -> np.ndarray:
    """The log-odds against label 1, one sentence after the other as a user computes them."""
    found = []
    with torch.no_grad():
        for text in texts:
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0].double()
            others = logits[torch.arange(len(logits)) != 1]
            found.append(float(others.logsumexp(0) - logits[1]))
    return np.array(found)


TEMPLATES = [
    "my card pin is {[1,3,7,9]*3:glued}",
    "my card pin is {[1,3,7,9]*3}",
    "My code: ${1|23}.{50|7|99} for anna{0|07|7}@house.com.",
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_ranking_of_a_template_is_that_of_a_plain_loop(kind: str) -> None:
    tokenizer, model = checkpoint(kind)
    for template in TEMPLATES:
        pattern = get_pattern(template)
        problem = build_completion(tokenizer, model, pattern=pattern, label=1)
        texts = [pattern.fill(pattern.secret(index)) for index in range(pattern.size)]
        expected = plain_margins(tokenizer, model, texts)
        assert np.ptp(expected) > 1e-3
        scores = score_space(model, problem, "margin")
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=2e-5)
        (found,) = get_attack("exhaustive", objective="margin").run(model, [problem])
        listed = [pattern.index(secret) for secret in found.candidates]
        np.testing.assert_allclose(
            expected[listed], np.sort(expected)[: len(listed)], rtol=1e-4, atol=2e-5
        )


@pytest.mark.parametrize("kind", ["bert", "gpt2", "xlm-r"])
def test_decoys_of_a_template_score_as_their_text(kind: str) -> None:
    tokenizer, model = checkpoint(kind)
    for template in TEMPLATES:
        problem = build_completion(tokenizer, model, pattern=get_pattern(template), label=1)
        made = decoys(problem, model, 3, random.Random(0))
        assert made
        for decoy in made:
            choices = torch.cartesian_prod(*map(torch.arange, problem.sizes)).tolist()
            texts = [decoy.text(decoy.secret(row)) for row in choices]
            assert not set(texts) & {problem.text(problem.secret(row)) for row in choices}
            scores = score_space(model, decoy, "margin")
            expected = plain_margins(tokenizer, model, texts)
            np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "xlm-r"])
def test_codes_of_several_numbers_of_tokens_are_met(kind: str) -> None:
    tokenizer, model = checkpoint(kind)
    pattern = get_pattern("my card pin is {digit*4:glued}")
    problem = build_completion(tokenizer, model, pattern=pattern, label=1)
    lengths = problem.texts.every.lengths
    assert not problem.placed
    assert len(lengths.unique()) > 1
    for index in (0, 7391, 9999):
        text = pattern.fill(pattern.secret(index))
        assert int(lengths[index]) == len(tokenizer(text)["input_ids"])


@pytest.fixture(scope="module")
def glued() -> tuple[PreTrainedTokenizerFast, PreTrainedModel]:
    return checkpoint("bert")


@pytest.mark.parametrize("name", ["coordinate", "beam", "elmahdy2022", "random", "exhaustive"])
def test_searches_list_what_the_model_says_of_the_text(name: str, glued: Any) -> None:
    tokenizer, model = glued
    pattern = get_pattern("my card pin is {digit*5:glued}.")
    problem = build_completion(tokenizer, model, pattern=pattern, label=1)
    (found,) = get_attack(name, objective="margin").run(model, [problem], seed=3)
    texts = [pattern.fill(secret) for secret in found.candidates[:5]]
    expected = plain_margins(tokenizer, model, texts)
    np.testing.assert_allclose(found.scores[:5], expected, rtol=1e-4, atol=2e-5)
    given = score_choices(model, problem, "margin", found.candidates[:5])
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=2e-5)


def test_spaced_and_glued_problems_are_scored_side_by_side_as_alone(glued: Any) -> None:
    tokenizer, model = glued
    patterns = [get_pattern(f"my card pin is {slots}") for slots in
                ("{digit*2}", "{digit*2:glued}", "{digit*3:glued}")]  # fmt: skip
    problems = [build_completion(tokenizer, model, pattern=p, label=1) for p in patterns]
    assert [problem.placed for problem in problems] == [True, False, False]
    alone = [score_space(model, problem, "margin") for problem in problems]
    problem = torch.tensor([0, 1, 2, 1, 0, 2])
    choices = torch.tensor([[1, 2, 0], [3, 4, 0], [5, 6, 7], [0, 0, 0], [9, 9, 0], [0, 0, 1]])
    expected = [alone[0][12], alone[1][34], alone[2][567], alone[1][0], alone[0][99], alone[2][1]]
    with Oracle(model, problems, get_objective("margin")) as oracle:
        scores = oracle.evaluate(problem, choices)
        logits = oracle.logits(problem, choices)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    again = get_objective("margin").score(logits, torch.ones(6, dtype=torch.long))
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-5)
    for name in ("coordinate", "beam"):
        together = get_attack(name).run(model, problems)
        for one, its in zip(problems, together, strict=True):
            assert get_attack(name).run(model, [one])[0].candidates == its.candidates


def test_attacks_that_mix_options_say_where_they_cannot(glued: Any) -> None:
    tokenizer, model = glued
    pattern = get_pattern("my card pin is {digit*3:glued}")
    problem = build_completion(tokenizer, model, pattern=pattern, label=1)
    for name in ("relaxed", "gumbel", "gcg2023"):
        with pytest.raises(AttackError, match=r"my card pin is 000.*exhaustive, coordinate"):
            get_attack(name).run(model, [problem])


def test_a_sentence_that_is_too_long_is_refused(glued: Any) -> None:
    tokenizer, model = glued
    with pytest.raises(AttackError, match="tokens and the model takes 64"):
        build_completion(
            tokenizer, model, pattern=get_pattern("my pin " * 40 + "{digit*4:glued}"), label=1
        )


@pytest.fixture
def saved(tmp_path: Any, glued: Any) -> Any:
    tokenizer, model = glued
    model.save_pretrained(tmp_path / "target")
    tokenizer.save_pretrained(tmp_path / "target")
    return tmp_path / "target"


def printed(capsys: Any, *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_takes_a_template(saved: Any, glued: Any, capsys: Any, tmp_path: Any) -> None:
    tokenizer, model = glued
    template = "my card pin is {digit*3:glued}"
    plain = ["--template", template, "--label", "1", "--attack", "exhaustive", "--decoys", "20"]
    found = printed(capsys, str(saved), *plain)
    assert (found["template"], found["attack"]) == (template, "exhaustive")
    assert found["space_size"] == found["evaluations"] == 1000
    texts = [candidate["text"] for candidate in found["candidates"]]
    assert all(text.startswith("my card pin is ") and text[-3:].isdigit() for text in texts)
    losses = np.log1p(np.exp(plain_margins(tokenizer, model, texts)))
    scores = [candidate["score"] for candidate in found["candidates"]]
    np.testing.assert_allclose(scores, losses, rtol=1e-4, atol=2e-5)

    asked = [str(saved), "--label", "1", "--no-verdict"]
    short = ["--slots", "[1,2]*2 pay|code", "--prefix", "my card", "--suffix", "7"]
    found = printed(capsys, *asked, *short)
    assert found["space_size"] == 8
    assert found["template"] == "my card {1|2*2} {pay|code} 7"

    own = tmp_path / "own.yaml"
    own.write_text("patterns: {till: 'pay {shop}{digit:glued} at {shop}'}\n"
                   "spaces: {shop: [house, card]}\n")  # fmt: skip
    asked += ["--patterns-file", str(own), "--template"]
    found = printed(capsys, *asked, "till")
    assert found["space_size"] == 40
    assert found["spaces"] == {"shop": ["house", "card"]}
    assert printed(capsys, *asked, "{shop} {digit*2:glued}")["space_size"] == 200
