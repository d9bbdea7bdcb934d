"""Classifiers on disk: a Hugging Face folder, safetensors only, written whole or not at all."""

from pathlib import Path

from attacks.checkpoint import load_checkpoint
from modiva.classifiers.building import Classifier
from modiva.classifiers.pretrained import own_errors, padding_right
from modiva.files import atomic_folder


def save(classifier: Classifier, folder: str | Path) -> Path:
    """Write model and tokenizer to `folder`, whole or not at all.

    After `import modiva.classifiers`, transformers' "text-classification" pipeline reads it.
    """
    with atomic_folder(Path(folder)) as temporary:
        classifier.write_into(temporary)
    return Path(folder)


def load(folder_or_name: str | Path) -> Classifier:
    """Load a trained classifier in float32 from a folder or from the Hugging Face hub.

    It is in evaluation mode, on the CPU.

    Raises:
        ModivaError: when it is not a checkpoint, is not a classifier, has pickled weights only,
            lacks weights of the head, lacks a tokenizer, or is damaged.
    """
    name = str(folder_or_name)
    with own_errors():
        model, tokenizer = load_checkpoint(name, device="cpu")
    return Classifier(model, padding_right(name, tokenizer))
