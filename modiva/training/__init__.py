"""Training: from a condition to targets, one or a stack of them, privately or not."""

from modiva.training import evaluate, textprivacy
from modiva.training.checkpoint import save_checkpoint
from modiva.training.resolve import resolve
from modiva.training.saving import load_ledgers, load_targets, save_targets
from modiva.training.seeds import resolve_device
from modiva.training.stack import train_stack
from modiva.training.target import (
    Prepared,
    Target,
    load_corpus,
    prepare,
    prepare_process,
)

__all__ = [
    "Prepared",
    "Target",
    "evaluate",
    "load_corpus",
    "load_ledgers",
    "load_targets",
    "prepare",
    "prepare_process",
    "resolve",
    "resolve_device",
    "save_checkpoint",
    "save_targets",
    "textprivacy",
    "train_stack",
]
