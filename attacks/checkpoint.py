"""Loads any trained Hugging Face sequence classifier with its tokenizer, and refuses the rest."""

import json
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from attacks.errors import AttackError

ARCHITECTURES = "attacks.architectures"  # entry points: modules that register own architectures

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model",
               "sentencepiece.bpe.model")  # fmt: skip
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def load_checkpoint(
    folder_or_name: str, *, device: str = "auto"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a trained sequence classifier and its tokenizer; no pickle, no remote code.

    Packages that bring their own architectures name a module that registers them under the entry
    point group `attacks.architectures`; it is imported when a checkpoint's type is unknown.

    Args:
        folder_or_name: a checkpoint folder, or a name on the Hugging Face hub.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...

    Returns:
        The model in evaluation mode on the device, and the tokenizer.

    Raises:
        AttackError: not a checkpoint, not a trained classifier, weights only as pickle, no
            tokenizer, or a device that does not exist.
        OSError: a name that the hub does not know, or no connection to it.
    """
    where = choose_device(device)
    folder = Path(folder_or_name)
    if folder.exists():
        _check_folder(folder)
    elif not _HUB_NAME.fullmatch(folder_or_name):
        raise AttackError(f"{folder_or_name} does not exist: give the folder of a checkpoint")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder_or_name, trust_remote_code=False)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AttackError(
            f"{folder_or_name} has no usable tokenizer ({_first_line(error)}): save the one it was "
            "trained with beside the model"
        ) from error
    try:
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            folder_or_name,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except OSError:
        raise
    except Exception as error:  # broken weights raise errors of many libraries
        raise AttackError(
            f"{folder_or_name} cannot be loaded as a sequence classifier: {_first_line(error)}"
        ) from error
    if loaded["missing_keys"]:
        missing = ", ".join(sorted(loaded["missing_keys"])[:3])
        raise AttackError(
            f"{folder_or_name} is not a trained classifier: it has no weights for {missing}; "
            "fine-tune it first, then attack the result"
        )
    return _in_own_memory(model).eval().to(where), tokenizer


def load_initial(folder_or_name: str, target: PreTrainedModel) -> PreTrainedModel:
    """Load the weights that a target was trained from, as far as they are public.

    What the public checkpoint does not have, such as a head of the target's own classes, takes the
    target's weights: the attacker does not know its beginning.

    Args:
        folder_or_name: a checkpoint of the target's architecture, with or without a head.
        target: the trained classifier.

    Raises:
        AttackError: no such checkpoint, or another architecture.
    """
    folder = Path(folder_or_name)
    if folder.exists() and not list(folder.glob("*.safetensors")):
        raise AttackError(f"{folder} holds no *.safetensors: give the checkpoint trained from")
    if not folder.exists() and not _HUB_NAME.fullmatch(folder_or_name):
        raise AttackError(f"{folder_or_name} does not exist: give the folder of a checkpoint")
    kind: Any = type(target)
    try:
        model, loaded = kind.from_pretrained(
            folder_or_name,
            config=target.config,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except OSError:
        raise
    except Exception as error:
        raise AttackError(
            f"{folder_or_name} cannot be loaded as {type(target).__name__}: {_first_line(error)}"
        ) from error
    unknown = {str(key) for key in loaded["missing_keys"]}
    unknown |= {str(mismatch[0]) for mismatch in loaded["mismatched_keys"]}
    state, final = model.state_dict(), target.state_dict()
    if len(unknown) > len(state) // 2:
        raise AttackError(
            f"{folder_or_name} is not what the target was trained from: it has no weights for "
            f"{', '.join(sorted(unknown)[:3])}"
        )
    model.load_state_dict({k: final[k] if k in unknown else v for k, v in state.items()})
    initial = _in_own_memory(model).eval()
    return initial.to(target.device)


def _in_own_memory(model: PreTrainedModel) -> PreTrainedModel:
    """The model with copies of the weights that lie in a file: those begin at any byte.

    Kernels may round otherwise than for weights that begin at a multiple of 64, as a trained
    model's do.
    """
    for weight in (*model.parameters(), *model.buffers()):
        weight.data = weight.data.clone()
    return model


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        AttackError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AttackError(f"unknown device {name!r}: use auto, cpu or cuda") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise AttackError(f"device {name!r} is not here: use --device cpu")
    return device


def _check_folder(folder: Path) -> None:
    """Refuse what is visibly not a trained classifier, before anything is loaded."""
    file = folder / "config.json"
    if not file.is_file():
        raise AttackError(f"{folder} is not a checkpoint folder: it has no config.json")
    try:
        config: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AttackError(f"{file} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise AttackError(f"{file} does not hold a model's configuration")
    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING:
        for entry in entry_points(group=ARCHITECTURES):
            entry.load()
    if kind not in CONFIG_MAPPING:
        raise AttackError(
            f"{file} has the unknown model type {kind!r}: install the package that defines it "
            f"(with an entry point of the group {ARCHITECTURES!r})"
        )
    names = config.get("architectures") or []
    heads = ("ForMaskedLM", "LMHeadModel", "ForCausalLM", "ForTokenClassification",
             "ForQuestionAnswering", "ForConditionalGeneration", "Model")  # fmt: skip
    if names and all(str(name).endswith(heads) for name in names):
        raise AttackError(
            f"{folder} holds {', '.join(map(str, names))}, which is not a sequence classifier: "
            "fine-tune it on labelled sentences first"
        )
    if not list(folder.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
        if pickled:
            raise AttackError(
                f"{folder} has its weights only as pickle ({', '.join(pickled[:3])}), which can "
                "run code when loaded: save it again with save_pretrained(safe_serialization=True)"
            )
        raise AttackError(f"{folder} holds no weights: there is no *.safetensors file")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise AttackError(
            f"{folder} has no tokenizer: save the one it was trained with beside the model "
            "(tokenizer.save_pretrained)"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
