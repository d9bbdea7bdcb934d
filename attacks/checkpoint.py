"""Loads any trained Hugging Face sequence classifier with its tokenizer, and refuses the rest."""

import logging

import torch
from transformers import (
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from attacks.errors import AttackError
from attacks.folder import check_name
from attacks.guard import guarded
from attacks.loading import load_config, load_tokenizer, load_weights, sample_text, some, try_out
from attacks.objectives import is_multi_label

logger = logging.getLogger(__name__)

_OTHER_HEADS = ("ForMaskedLM", "LMHeadModel", "ForCausalLM", "ForTokenClassification",
                "ForQuestionAnswering", "ForConditionalGeneration", "Model")  # fmt: skip


def load_checkpoint(
    folder_or_name: str, *, device: str = "auto"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a trained sequence classifier in float32 and its tokenizer; no pickle, no remote code.

    Packages that bring their own architectures name a module that registers them under the entry
    point group `attacks.architectures`; it is imported when a checkpoint's type is unknown.

    Args:
        folder_or_name: a checkpoint folder, or a name on the Hugging Face hub.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...

    Returns:
        The model in evaluation mode on the device, and the tokenizer. Weights are float32 whatever
        the files hold: scores in half precision tie.

    Raises:
        AttackError: not a checkpoint, not a trained classifier, weights only as pickle, no
            tokenizer, damaged files, or a device that does not exist.
        OSError: a file that cannot be read.
    """
    where = choose_device(device)
    config = load_config(folder_or_name)
    _check_labels(folder_or_name, config)
    tokenizer = load_tokenizer(folder_or_name)
    model, taken = load_weights(AutoModelForSequenceClassification, folder_or_name, config)
    if taken.mismatched:
        raise AttackError(
            f"{folder_or_name} cannot be loaded: {some(taken.mismatched)} have another shape in "
            "its files than its config.json says"
        )
    if taken.missing:
        raise AttackError(
            f"{folder_or_name} lacks weights ({some(taken.missing)}): it is not a trained "
            "classifier; fine-tune it first, then attack the result"
        )
    if taken.unused:
        logger.warning(
            "%s: %d weights of its files have no place in %s and are not used: %s",
            folder_or_name,
            len(taken.unused),
            type(model).__name__,
            some(taken.unused),
        )
    model = _in_own_memory(model).eval().to(where)
    try_out(folder_or_name, model, tokenizer, [sample_text(tokenizer)])
    return model, tokenizer


def load_initial(folder_or_name: str, target: PreTrainedModel) -> PreTrainedModel:
    """Load the weights that a target was trained from, as far as they are public, in float32.

    What the public checkpoint does not have, such as a head of the target's own classes, takes the
    target's weights: the attacker does not know its beginning.

    Args:
        folder_or_name: a checkpoint of the target's architecture, with or without a head.
        target: the trained classifier.

    Raises:
        AttackError: no such checkpoint, another architecture, or damaged files.
    """
    check_name(folder_or_name, tokenizer=False)
    model, taken = load_weights(type(target), folder_or_name, target.config)
    state, final = model.state_dict(), target.state_dict()
    if len(taken.fresh) > len(state) // 2:
        raise AttackError(
            f"{folder_or_name} is not what the target was trained from: it has no weights for "
            f"{some(sorted(taken.fresh))}"
        )
    model.load_state_dict({k: final[k] if k in taken.fresh else v for k, v in state.items()})
    _in_own_memory(model).eval().to(target.device)
    return model


def _in_own_memory(model: PreTrainedModel) -> PreTrainedModel:
    """Copy weights that are mapped from a file, where they begin at any byte.

    Kernels may round otherwise than for weights that begin at a multiple of 64, as a trained
    model's do.
    """
    for weight in (*model.parameters(), *model.buffers()):
        weight.data = weight.data.clone()
    return model


def choose_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is CUDA where there is one, else the CPU.

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
    # "meta" holds no numbers, and others need another build of PyTorch.
    with guarded(f"device {name!r} cannot be used here: use --device cpu"):
        float(torch.zeros(1, device=device))
    return device


def _check_labels(name: str, config: PretrainedConfig) -> None:
    """Refuse what is visibly not a trained classifier, before its weights are loaded."""
    names = config.architectures or []
    if names and all(str(one).endswith(_OTHER_HEADS) for one in names):
        raise AttackError(
            f"{name} is not a sequence classifier but {', '.join(map(str, names))}: fine-tune it "
            "first, on labelled sentences"
        )
    labels = config.id2label or {}
    if sorted(labels) != list(range(len(labels))):
        raise AttackError(
            f"{name} numbers its {len(labels)} labels {some([str(key) for key in labels])}: "
            "id2label in its config.json must count from 0 without a gap"
        )
    # One output is a class only where it is trained by a sigmoid of its own.
    if len(labels) < (1 if is_multi_label(config) else 2):
        raise AttackError(
            f"{name} has {len(labels)} output: it needs 2 labels or more, or problem_type "
            "multi_label_classification in its config.json if its one output is a binary class"
        )
