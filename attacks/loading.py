"""Configuration, tokenizer and weights of a checkpoint, in float32, behind one guard."""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from attacks.errors import AttackError
from attacks.folder import check_name, place_of, short, stored_weights
from attacks.guard import guarded, panics_unseen

logger = logging.getLogger(__name__)

# What wrappers put before the names of weights: torch.compile anywhere, DataParallel at the start.
WRAPPERS = {r"^module\.": "", r"_orig_mod\.": ""}
# A configuration may declare so many times the stored elements, and 2**26 more: a fresh head, or a
# base whose embedding is of another size. Beyond, memory is asked for that no weight will fill.
DECLARED, SPARE = 4, 2**26


@dataclass(frozen=True)
class Taken:
    """Which weights of a model the files did not give, and which of theirs it has no place for.

    Args:
        missing: names of weights that the files lack.
        mismatched: names of weights that have another shape in the files.
        unused: names in the files for which the model has no place.
    """

    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def fresh(self) -> frozenset[str]:
        """The weights that are as they were drawn."""
        return frozenset((*self.missing, *self.mismatched))


def load_config(name: str) -> PretrainedConfig:
    """Load the configuration of a folder, whose files are checked first, or of a hub name.

    Raises:
        AttackError: not a checkpoint that transformers can read.
        OSError: a file that cannot be read.
    """
    check_name(name)
    with guarded(f"{name} has no readable configuration"):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            str(place_of(name)), trust_remote_code=False
        )
    return config


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load a checkpoint's tokenizer and try it on a word of its vocabulary.

    Raises:
        AttackError: it does not load, does not tokenise, or has no positive longest length.
    """
    says = f"{name} has no usable tokenizer: save the one it was trained with beside the model"
    with guarded(says), panics_unseen():
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            str(place_of(name)), trust_remote_code=False
        )
    longest: Any = tokenizer.model_max_length
    try:
        whole = not isinstance(longest, bool) and int(longest) == longest >= 1
    except (ValueError, TypeError, OverflowError):
        whole = False
    if not whole:
        raise AttackError(
            f"the tokenizer of {name} has model_max_length {short(longest)}: it must be the number "
            "of tokens that the model takes"
        )
    tokenizer.model_max_length = int(longest)  # libraries cut lists there: no 1e30
    with guarded(says), panics_unseen():
        tokenizer(sample_text(tokenizer))
    return tokenizer


def sample_text(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a word that the tokenizer knows, twice."""
    special = set(tokenizer.all_special_tokens)
    words = (token.lstrip("Ġ▁") for token in tokenizer.get_vocab() if token not in special)
    word = next((word for word in words if word.isascii() and word.isalnum()), "a")
    return f"{word} {word}"


def load_weights(kind: Any, name: str, config: PretrainedConfig) -> tuple[PreTrainedModel, Taken]:
    """Load a model in float32, whatever its files hold; no pickle, no remote code.

    Args:
        kind: a model class or one of transformers' Auto classes.
        name: a checked folder, or a hub name.
        config: what the model is built from.

    Returns:
        The model in evaluation mode, and which of its weights are fresh.

    Raises:
        AttackError: files that do not load, that hold no finite weights, or a configuration that
            declares far more weights than they hold.
    """
    options: dict[str, Any] = {}
    says = f"{name} cannot be loaded as {config.model_type} by {kind.__name__}"
    folder = place_of(name)
    shapes = stored_weights(folder)
    if any(key.startswith("module.") or "_orig_mod." in key for key in shapes):
        logger.warning(
            "%s: its weights were saved from a wrapped model; the prefixes _orig_mod. "
            "(torch.compile) and module. (DataParallel) of their names are left out",
            name,
        )
        options["key_mapping"] = WRAPPERS
    if hasattr(kind, "from_config"):
        with guarded(says), torch.device("meta"):
            skeleton = kind.from_config(config)
        _check_size(name, skeleton, list(shapes.values()))
    with guarded(says):
        model, loaded = kind.from_pretrained(
            str(folder),
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    if loaded.get("error_msgs"):
        raise AttackError(f"{says}: {' '.join(str(loaded['error_msgs'][0]).split())}")
    if "key_mapping" in options:
        # transformers 5 renames on saving what it renamed on loading: not with these.
        vars(model).pop("_weight_conversions", None)
    model.float().eval()
    for key, value in model.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise AttackError(
                f"{name} holds NaN or infinite numbers in {key}: no score of it would mean anything"
            )
    missing = sorted(map(str, loaded["missing_keys"]))
    mismatched = sorted(str(mismatch[0]) for mismatch in loaded["mismatched_keys"])
    unused = sorted(map(str, loaded["unexpected_keys"]))
    return model, Taken(tuple(missing), tuple(mismatched), tuple(unused))


def some(names: Sequence[str]) -> str:
    """Return the first few names for a message."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def try_out(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    longest: int | None = None,
) -> torch.Tensor:
    """Give the logits (N, C) of texts, one at a time, as a user of the checkpoint would.

    Args:
        name: what messages call the checkpoint.
        model: in evaluation mode.
        tokenizer: the checkpoint's.
        texts: N sentences.
        longest: tokens at which sentences are cut; None cuts none.

    Raises:
        AttackError: the model does not take what its tokenizer gives, or gives no finite logits.
    """
    takes = inspect.signature(model.forward).parameters
    found = []
    with guarded(f"{type(model).__name__} of {name} fails on a sentence"), torch.no_grad():
        for text in texts:
            cut: dict[str, Any] = {"truncation": True, "max_length": longest} if longest else {}
            given = tokenizer(text, return_tensors="pt", **cut).to(model.device)
            found.append(model(**{key: given[key] for key in given if key in takes}).logits)
        logits = torch.cat(found).float()
    if logits.ndim != 2 or not logits.isfinite().all():
        raise AttackError(
            f"{type(model).__name__} of {name} gives no finite logits: its weights or its "
            "configuration are damaged"
        )
    return logits


def _check_size(name: str, model: PreTrainedModel, stored: Sequence[tuple[int, ...]]) -> None:
    declared = sum(w.numel() for w in (*model.parameters(), *model.buffers()))
    held = sum(torch.Size(shape).numel() for shape in stored)
    if declared > DECLARED * held + SPARE:
        raise AttackError(
            f"{name}: its configuration declares {declared:,} weights and its files hold {held:,}"
        )
