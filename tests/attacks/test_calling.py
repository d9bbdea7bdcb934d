"""Scores are those of the text, however a target reads it; what cannot be so is refused."""

import inspect
import itertools
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from attacks import AttackError, Knowledge, build_completion, get_attack
from attacks.objectives import get_objective
from attacks.oracle import Oracle
from attacks.ranker.evidence import slot_gradients
from canaries.patterns import parse_slots

LOSS = get_objective("loss")
WORDS = ["call", "my", "pin", "code", "is", "now", *(str(digit) for digit in range(10))]
EVERY = torch.tensor(list(itertools.product(range(10), repeat=2)))
ZEROS = torch.zeros(100, dtype=torch.long)


def word_level(template: str = "<s>:0 $A:0 </s>:0", **settings: Any) -> PreTrainedTokenizerFast:
    """Words and a template of special tokens with token types; what is padding is a setting."""
    vocabulary = {w: i for i, w in enumerate(["<pad>", "<unk>", "<s>", "</s>", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        **{"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"} | settings,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


# Every architecture names some of these sizes.
SIZES = dict.fromkeys(["hidden_size", "d_model", "n_embd", "embedding_size", "emb_dim", "dim",
                       "word_embed_proj_dim", "d_latents"], 32)  # fmt: skip
SIZES |= dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers",
                        "decoder_layers"], 2)  # fmt: skip
SIZES |= dict.fromkeys(["num_attention_heads", "n_head", "n_heads", "num_heads",
                        "encoder_attention_heads", "decoder_attention_heads",
                        "num_key_value_heads"], 2)  # fmt: skip
SIZES |= dict.fromkeys(["intermediate_size", "d_ff", "n_inner", "ffn_dim", "encoder_ffn_dim",
                        "decoder_ffn_dim", "d_inner", "feed_forward_size", "dff"], 48)  # fmt: skip
SIZES |= dict.fromkeys(["head_dim", "d_kv", "d_head", "attention_head_size",
                        "moe_intermediate_size"], 16)  # fmt: skip
SIZES |= dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts"], 4)
SIZES["num_experts_per_tok"] = 2
SIZES |= dict.fromkeys(["max_position_embeddings", "n_positions", "n_ctx"], 128)
ATTENTION_BY_LATENTS = {"head_dim": None, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8,
                        "v_head_dim": 16, "kv_lora_rank": 16, "q_lora_rank": 16}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "canine": {"num_hash_buckets": 64, "num_hash_functions": 2, "local_transformer_stride": 8},
    "deepseek_v3": ATTENTION_BY_LATENTS,
    "falcon": {"head_dim": None},
    "funnel": {"num_hidden_layers": None, "block_sizes": [1, 1]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 8},
    "jamba": {"num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1,
              "use_mamba_kernels": False},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8, "visual_embed": False},
    "lilt": {"hidden_size": 48, "num_attention_heads": 4},
    "longformer": {"attention_window": 4},
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 8},
    "mistral4": ATTENTION_BY_LATENTS,
    "mobilebert": {"intra_bottleneck_size": 32, "true_hidden_size": 32},
    "perceiver": {"num_latents": 8, "num_blocks": 1, "num_self_attends_per_block": 1,
                  "num_self_attention_heads": 2, "num_cross_attention_heads": 2},
    "reformer": {"axial_pos_shape": (8, 8), "axial_pos_embds_dim": (16, 16), "hash_seed": 0,
                 "attn_layers": ["local", "lsh"], "num_buckets": 4, "is_decoder": False,
                 "lsh_attn_chunk_length": 8, "local_attn_chunk_length": 8},
    "squeezebert": {f"{name}_groups": 1 for name in ("q", "k", "v", "post_attention",
                                                     "intermediate", "output")},
    "t5": {"decoder_start_token_id": 0},
    "xlnet": {"max_position_embeddings": None},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
}  # fmt: skip


def tiny(kind: str, **settings: Any) -> PreTrainedModel:
    """A random classifier of that type, its weights large enough that candidates differ."""
    config_class = CONFIG_MAPPING[kind]
    default = config_class()
    sizes = {name: size for name, size in SIZES.items() if hasattr(default, name)}
    chosen = sizes | OWN.get(kind, {}) | {
        "vocab_size": 4 + len(WORDS), "num_labels": 3, "pad_token_id": 0, "bos_token_id": 2,
        "eos_token_id": 3,
    } | settings  # fmt: skip
    dropped = [name for name in OWN.get(kind, {}) if chosen[name] is None]
    config = config_class(**{k: v for k, v in chosen.items() if k not in dropped})
    with torch.device("meta"):
        empty = AutoModelForSequenceClassification.from_config(config)
    if sum(weight.numel() for weight in empty.parameters()) > 10**7:
        pytest.skip(f"{kind} has no sizes that make it small")
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() >= 2:
                weight.mul_(4)
    return model


def text_losses(model: PreTrainedModel, tokenizer: Any, problem: Any) -> torch.Tensor:
    """Each candidate's loss as a user computes it: one plain sentence after the other."""
    taken = inspect.signature(model.forward).parameters
    found = []
    for choices in EVERY.tolist():
        encoded = tokenizer(problem.text(problem.secret(choices)), return_tensors="pt")
        with torch.no_grad():
            logits = model(**{name: its for name, its in encoded.items() if name in taken}).logits
        found.append(nn.functional.cross_entropy(logits, torch.tensor([problem.label])))
    return torch.stack(found)


def ask(model: PreTrainedModel, tokenizer: Any) -> Any:
    return build_completion(tokenizer, model, prefix="my pin code is", suffix="now",
                            slots=parse_slots("digit*2"), label=2)  # fmt: skip


def check(model: PreTrainedModel, tokenizer: Any, *, mixed: bool = True) -> None:
    """Scores, and scores of one-hot mixtures where they can be made, equal the text's."""
    problem = ask(model, tokenizer)
    expected = text_losses(model, tokenizer, problem)
    rounding = 1e-4 * float(expected.max() - expected.min()) + 1e-6
    with Oracle(model, [problem], LOSS) as oracle:
        scores = oracle.evaluate(ZEROS, EVERY)
        torch.testing.assert_close(scores, expected, rtol=0, atol=rounding)
        one_hot = nn.functional.one_hot(EVERY, 10).float()
        if mixed:
            again, gradient = oracle.relaxed(ZEROS, one_hot)
            torch.testing.assert_close(again, expected, rtol=0, atol=rounding)
            assert gradient.abs().max() > 0
        else:
            with pytest.raises(AttackError, match="exhaustive"):
                oracle.relaxed(ZEROS, one_hot)


@pytest.mark.parametrize(
    ("kind", "tokens", "settings"),
    [
        # The last token that is not padding is the last word, not the end of the sentence.
        ("qwen3", {"pad_token": "</s>"}, {"pad_token_id": 3}),
        ("llama", {"pad_token": "</s>", "padding_side": "left"}, {"pad_token_id": 3}),
        ("gpt2", {"pad_token": "</s>"}, {"pad_token_id": 3}),
        # Without a padding token such a model takes one sentence at a time.
        ("gpt2", {"pad_token": None}, {"pad_token_id": None}),
        ("mistral", {"pad_token": None}, {"pad_token_id": None}),
        ("bert", {"template": "<s>:0 $A:0 </s>:1"}, {}),
        ("funnel", {"template": "<s>:2 $A:0 </s>:0"}, {}),
        ("electra", {"template": "<s>:1 $A:1 </s>:1"}, {}),
        ("esm", {}, {"token_dropout": True, "mask_token_id": 1}),
        ("bart", {}, {}),
        ("t5", {}, {}),
        ("longformer", {}, {"pad_token_id": 1}),
        ("ibert", {}, {}),
        ("roberta", {}, {"pad_token_id": 0}),
    ],
)
def test_scores_and_gradients_are_those_of_the_text(kind, tokens, settings):
    check(tiny(kind, **settings), word_level(**tokens))


def test_a_model_of_characters_hashes_is_scored_but_not_mixed():
    model, tokenizer = tiny("canine"), word_level()
    check(model, tokenizer, mixed=False)
    problem = ask(model, tokenizer)
    (found,) = get_attack("coordinate").run(model, [problem])
    assert found.scores[0] == pytest.approx(float(text_losses(model, tokenizer, problem).min()))
    with pytest.raises(AttackError, match="CanineForSequenceClassification cannot be given"):
        get_attack("gcg2023").run(model, [problem])
    with pytest.raises(AttackError, match="CanineForSequenceClassification"):
        get_attack("movement").run(model, [problem], knowledge=Knowledge(initial=tiny("canine")))


def test_a_model_whose_sentences_see_each_other_takes_them_one_by_one(bert, tokenizer):
    def centre(module: nn.Module, given: Any, out: torch.Tensor) -> torch.Tensor:
        return out - out.mean(0) if len(out) > 1 else out

    bert.classifier.register_forward_hook(centre)
    check(bert, tokenizer, mixed=False)


@pytest.mark.parametrize("kind", ["bart", "t5", "esm"])
def test_open_slots_missing_slots_and_slopes_of_a_model_that_reads_ids(kind):
    # T5 begins with slopes too steep for a finite difference.
    model = tiny(kind, **({"initializer_factor": 0.2} if kind == "t5" else {}))
    tokenizer = word_level()
    problem = ask(model, tokenizer)
    with Oracle(model, [problem], LOSS) as oracle:
        mean = oracle.evaluate(ZEROS[:1], torch.tensor([[4, 10]]))
        weights = torch.zeros(1, 2, 10)
        weights[0, 0, 4], weights[0, 1] = 1, 0.1
        again, gradient = oracle.relaxed(ZEROS[:1], weights)
        torch.testing.assert_close(mean, again)
        step = 1e-2 * nn.functional.normalize(gradient, dim=(1, 2))
        above, _ = oracle.relaxed(ZEROS[:1], weights + step)
        below, _ = oracle.relaxed(ZEROS[:1], weights - step)
        assert float(above - below) == pytest.approx(2 * float((gradient * step).sum()), rel=0.1)
        short = oracle.evaluate_shortened(ZEROS[:1], EVERY[70:71], filled=1)
    with torch.no_grad():
        encoded = tokenizer("my pin code is 7 now", return_tensors="pt")
        del encoded["token_type_ids"]
        logits = model(**encoded).logits
    expected = nn.functional.cross_entropy(logits, torch.tensor([2]))
    assert short.item() == pytest.approx(expected.item(), rel=1e-4)
    with Oracle(model, [problem], get_objective("margin")) as oracle:
        assert slot_gradients(oracle, EVERY[:3]).gradient.abs().amax((1, 2)).min() > 0


def test_a_missing_padding_token_is_missing_again_afterwards():
    model = tiny("gpt2", pad_token_id=None)
    with Oracle(model, [ask(model, word_level(pad_token=None))], LOSS):
        pass
    assert model.config.pad_token_id is None


def test_a_model_with_other_logits_every_time_is_refused_and_left_as_it_was(bert, tokenizer):
    bert.train()
    bert.classifier.register_forward_hook(lambda module, given, out: out + torch.rand_like(out))
    with pytest.raises(AttackError, match=r"same sentence the same logits \(logits up to"):
        Oracle(bert, [ask(bert, tokenizer)], LOSS).__enter__()
    assert bert.training


def test_a_model_that_cannot_take_plain_sentences_is_refused_in_one_line():
    model = tiny("bart", eos_token_id=1)  # the tokenizer ends sentences with another token
    with pytest.raises(AttackError, match="cannot classify 'my pin code is 0 0 now'") as caught:
        Oracle(model, [ask(model, word_level())], LOSS).__enter__()
    assert "\n" not in str(caught.value)


def typed(tokenizer: Any, *, alone: bool) -> Any:
    """Another token type at the end of sentences with a 9; `alone`: of sentences given alone."""

    class Typed(type(tokenizer)):
        def __call__(self, text: Any, **settings: Any) -> Any:
            encoded = super().__call__(text, **settings)
            if isinstance(text, str) and "9" in text:
                encoded["token_type_ids"][..., -1] = 1
            if isinstance(text, list) and not alone:
                for one, types in zip(text, encoded.get("token_type_ids", []), strict=False):
                    types[-1] = int("9" in one)
            return encoded

    return Typed(tokenizer_object=tokenizer.backend_tokenizer, unk_token="[UNK]",
                 model_input_names=["input_ids", "token_type_ids"])  # fmt: skip


def test_token_types_that_depend_on_the_secret_are_those_of_the_text(bert, tokenizer):
    its = typed(tokenizer, alone=False)
    problem = ask(bert, its)
    assert not problem.placed
    with Oracle(bert, [problem], LOSS) as oracle:
        scores = oracle.evaluate(ZEROS, EVERY)
    for choices, score in zip(EVERY.tolist(), scores.tolist(), strict=True):
        encoded = its(problem.text(problem.secret(choices)), return_tensors="pt")
        logits = bert(**encoded).logits
        assert LOSS.score(logits, torch.tensor([2])).item() == pytest.approx(score, abs=1e-5)


def test_a_tokenizer_to_which_sentences_are_not_independent_is_refused(bert, tokenizer):
    with pytest.raises(AttackError, match="alone than among other sentences"):
        ask(bert, typed(tokenizer, alone=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES))
def test_every_architecture_scores_as_its_text_or_is_refused(kind):
    try:
        model = tiny(kind)
    except Exception as error:  # configurations of many kinds have many checks
        pytest.skip(f"{kind} needs settings of its own: {error}")
    tokenizer = word_level()
    problem = ask(model, tokenizer)
    try:
        with Oracle(model, [problem], LOSS) as oracle:
            scores = oracle.evaluate(ZEROS, EVERY)
    except AttackError as refused:
        pytest.skip(str(refused))
    expected = text_losses(model, tokenizer, problem)
    rounding = 1e-4 * float(expected.max() - expected.min()) + 1e-6
    torch.testing.assert_close(scores, expected, rtol=0, atol=rounding)
