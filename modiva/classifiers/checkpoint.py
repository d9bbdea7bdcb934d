"""Classifiers on disk: a Hugging Face folder, safetensors only, written whole or not at all."""

from pathlib import Path

from transformers import AutoModelForSequenceClassification

from modiva.classifiers.building import Classifier
from modiva.classifiers.pretrained import (
    check_weights,
    first_line,
    load_config,
    load_tokenizer,
    quiet,
)
from modiva.errors import ModivaError
from modiva.files import atomic_folder


def save(classifier: Classifier, folder: str | Path) -> Path:
    """Write model and tokenizer to `folder`, whole or not at all.

    After `import modiva.classifiers`, transformers' "text-classification" pipeline reads it.
    """
    with atomic_folder(Path(folder)) as temporary:
        write_into(classifier, temporary)
    return Path(folder)


def write_into(classifier: Classifier, folder: Path) -> None:
    """Write model and tokenizer into an existing folder, for callers that add their own files."""
    with quiet():
        classifier.model.save_pretrained(folder)
        classifier.tokenizer.save_pretrained(folder)


def load(folder_or_name: str | Path) -> Classifier:
    """Load a trained classifier from a folder or from the Hugging Face hub, in evaluation mode.

    Raises:
        ModivaError: when it is not a checkpoint, is not a classifier, has pickled weights only,
            lacks weights of the head, or lacks a tokenizer.
    """
    name = str(folder_or_name)
    if Path(name).exists() and not Path(name).is_dir():
        raise ModivaError(f"{name} is a file: give the folder of the checkpoint")
    check_weights(name)
    config = load_config(name)
    architectures = list(config.architectures or ())
    kinds = ("ForSequenceClassification", "Classifier")
    if architectures and not any(a.endswith(kinds) for a in architectures):
        raise ModivaError(
            f"{name} is not a sequence classifier but {', '.join(architectures)}: fine-tune it "
            f"first (modiva train --target {name})"
        )
    if config.num_labels < 2:
        raise ModivaError(f"{name} has {config.num_labels} output: it needs 2 labels or more")
    tokenizer = load_tokenizer(name)
    try:
        with quiet():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:
        raise ModivaError(f"{name} does not load as a classifier: {first_line(error)}") from error
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModivaError(f"{name} lacks weights ({missing}): it is not a trained classifier")
    model.float().eval()  # half precision on disk is no reason to attack in half precision
    for weight in (*model.parameters(), *model.buffers()):
        # A file's weights begin at any byte, where kernels may round otherwise than at a multiple
        # of 64: in memory of their own, they give the bits that the saved model gave.
        weight.data = weight.data.clone()
    return Classifier(model, tokenizer)
