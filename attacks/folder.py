"""What a checkpoint folder says of itself: its JSON and its weight files, read before any library.

Whatever stands in these files was written by others. Every refusal is one line that names the file.
"""

import json
import re
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import safe_open
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from attacks.errors import AttackError
from attacks.guard import guarded
from canaries.reading import read_bytes

ARCHITECTURES = "attacks.architectures"  # entry points: modules that register own architectures
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
MOST_LABELS = 10**6
MOST_LAYERS = 1000  # or as many as there are stored tensors, if those are more
MOST_EXPERTS = 2**15
MOST_LISTED = 10_000  # values of a list in a configuration
# A tokenizer rewrites a text in steps: so many, and so many characters for one at the end.
MOST_STEPS, MOST_GROWTH = 64, 10_000

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model",
               "sentencepiece.bpe.model")  # fmt: skip
_READ = ("*.json", "*.txt", "*.model", "*.safetensors")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Counts of which a model builds a list: num_hidden_layers, n_layer, block_sizes, inner_group_num.
_LISTS = re.compile(
    r"layer|depth|blocks?(_sizes|_repeats|$)|per_block$|groups?(_num)?$|networks$|hash_functions$"
)
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_WEIGHTS_END = ".safetensors"


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        AttackError: not JSON, not an object, or nested beyond reason.
        OSError: it cannot be read.
    """
    try:
        found: Any = json.loads(read_bytes(file).decode("utf-8"))
    except RecursionError:
        raise AttackError(f"{file} is nested too deep to be a model's: save it again") from None
    except ValueError as error:
        raise AttackError(f"{file} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise AttackError(f"{file} does not hold a JSON object, but a {type(found).__name__}")
    return found


def short(value: Any) -> str:
    """Return a value for a message, cut to 80 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested deep, or a number of thousands of digits
        text = f"of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_name(name: str, *, tokenizer: bool = True) -> None:
    """Check the files of a folder, or those of a name on the hub, which are fetched for it.

    Args:
        name: a folder, or a hub name.
        tokenizer: whether a tokenizer must be there.

    Raises:
        AttackError: neither, or a folder whose configuration, weights or tokenizer are missing or
            nonsense.
        OSError: a file that cannot be read.
    """
    _check_folder(place_of(name), tokenizer)


def place_of(name: str) -> Path:
    """Return the folder of a checkpoint; of a hub name, the one that its files are fetched into.

    Raises:
        AttackError: a file, or no folder and no name of the hub.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise AttackError(f"{name} is a file: give the folder of the checkpoint")
    if not HUB_NAME.fullmatch(name):
        raise AttackError(
            f"{name} does not exist: there is no folder of that name, and it has not the form "
            "owner/model of the hub"
        )
    return _fetched(name)


@lru_cache(maxsize=16)
def _fetched(name: str) -> Path:
    """Fetch the files of a hub name that are read: pickles and code are none of them."""
    says = (
        f"{name} cannot be fetched: there is no folder of that name; of the hub, check the name "
        "and the network, or give the folder of a copy"
    )
    with guarded(says):
        return Path(snapshot_download(name, allow_patterns=[*_READ], ignore_patterns=["*/*"]))


def stored_weights(folder: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes of the weights in a folder's safetensors files, from their headers.

    Raises:
        AttackError: no weights, weights as pickle only, or files that are damaged or elsewhere.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in _weight_files(folder):
        with guarded(f"{file} cannot be loaded"), safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118, it is not a dictionary
                shapes[key] = tuple(tensors.get_slice(key).get_shape())
    if not shapes:
        raise AttackError(f"{folder} holds no weights: its safetensors file has no tensor")
    return shapes


def _check_folder(folder: Path, tokenizer: bool) -> None:
    file = folder / "config.json"
    if not file.is_file():
        raise AttackError(f"{folder} is not a checkpoint folder: it has no config.json")
    config = read_json(file)
    _check_config(file, config)
    shapes = stored_weights(folder)
    _check_counts(file, config, most_layers=max(MOST_LAYERS, len(shapes)))
    if tokenizer and not any((folder / name).is_file() for name in _TOKENIZERS):
        raise AttackError(
            f"{folder} has no tokenizer: save the one it was trained with beside the model "
            "(tokenizer.save_pretrained)"
        )
    if tokenizer and (folder / _TOKENIZERS[0]).is_file():
        _check_steps(folder / _TOKENIZERS[0])


def _check_config(file: Path, config: dict[str, Any]) -> None:
    """Refuse values on which transformers would stumble, or that would lead it elsewhere."""
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise AttackError(f"{file} has model_type {short(kind)}: it must be a name, such as bert")
    if kind not in CONFIG_MAPPING:
        for entry in entry_points(group=ARCHITECTURES):
            entry.load()
    if kind not in CONFIG_MAPPING:
        raise AttackError(
            f"{file} has the unknown model type {short(kind)}: install the package that defines "
            f"it (with an entry point of the group {ARCHITECTURES!r})"
        )
    names = config.get("architectures")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise AttackError(f"{file} has architectures {short(names)}: it must be a list of names")
    for key in ("dtype", "torch_dtype"):
        dtype = config.get(key)
        known = isinstance(dtype, str) and getattr(torch, dtype.removeprefix("torch."), None)
        if dtype is not None and not (isinstance(known, torch.dtype) and known.is_floating_point):
            raise AttackError(
                f"{file} has {key} {short(dtype)}: it must be a floating-point type of PyTorch, "
                "such as float32"
            )
    if "configuration_files" in config:
        raise AttackError(f"{file} names other configuration files: leave configuration_files out")
    if config.get("quantization_config") is not None:
        raise AttackError(
            f"{file} is of a quantised model, whose scores are rounded: attack the float weights "
            "that it was made from"
        )


def _check_counts(file: Path, config: dict[str, Any], *, most_layers: int) -> None:
    """Refuse counts for which lists would be built before any size is compared."""
    parts: list[tuple[str, Any]] = [("", config)]
    while parts:
        key, value = parts.pop()
        if isinstance(value, dict):
            parts += value.items()
        elif isinstance(value, list):
            if len(value) > MOST_LISTED:
                raise AttackError(
                    f"{file} has a list {short(key)} of {len(value):,} values: {MOST_LISTED:,} are "
                    "the most"
                )
            parts += ((key, one) for one in value)
        elif isinstance(value, int) and not isinstance(value, bool):
            most = _most(key, most_layers)
            if most is not None and value > most:
                raise AttackError(
                    f"{file} has {key} {short(value)}: this checkpoint can have {most:,} at most"
                )


def _most(key: str, most_layers: int) -> int | None:
    """Return the largest count of a key of which a model builds a list; None for other keys."""
    if key == "num_labels":
        return MOST_LABELS
    if key.endswith("experts"):
        return MOST_EXPERTS
    return most_layers if _LISTS.search(key) else None


def _check_steps(file: Path) -> None:
    """Refuse a tokenizer that makes texts grow without bound, such as by doubling them 60 times."""
    content = read_json(file)
    for part in ("normalizer", "decoder"):
        left, steps, growth = [content.get(part)], 0, 1
        while left:
            step = left.pop()
            if not isinstance(step, dict):
                continue
            for inside in ("normalizers", "decoders"):
                found = step.get(inside)
                left += found if isinstance(found, list) else []
            steps += 1
            growth *= _growth(step)
            if steps > MOST_STEPS or growth > MOST_GROWTH:
                raise AttackError(
                    f"{file} has a {part} of more than {MOST_STEPS} steps, or one that makes a "
                    f"text more than {MOST_GROWTH:,} times as long: save the tokenizer again"
                )


def _growth(step: dict[str, Any]) -> int:
    """Return about how many characters a step of a tokenizer makes of one."""
    kind = step.get("type")
    if kind in ("Replace", "Prepend"):
        written = step.get("content" if kind == "Replace" else "prepend")
        return max(len(written), 1) if isinstance(written, str) else 1
    return {"ByteLevel": 4, "Precompiled": 32}.get(str(kind), 1)


def _weight_files(folder: Path) -> list[Path]:
    """List the safetensors files that transformers reads, all of them in the folder itself."""
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    index = folder / _INDEX
    if index.is_file():
        named = read_json(index).get("weight_map")
        if not (isinstance(named, dict) and all(isinstance(v, str) for v in named.values())):
            raise AttackError(f"{index} has no weight_map of names and files: save the model again")
        files = sorted(set(named.values()))
        for name in files:
            if Path(name).name != name or name in ("", "..") or "\0" in name:
                raise AttackError(
                    f"{index} names {short(name)}, which is not a file of its own folder"
                )
            if not name.endswith(_WEIGHTS_END):
                raise AttackError(
                    f"{index} names {short(name)}, which is no {_WEIGHTS_END} file: others can run "
                    "code when they are read; save the model again"
                )
            if not (folder / name).is_file():
                raise AttackError(f"{folder} lacks {short(name)}, which {_INDEX} names: copy it")
        return [folder / name for name in files]
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        raise AttackError(
            f"{folder} has pickled weights only ({', '.join(pickled[:3])}), which can run code "
            "when they are read: save it again with save_pretrained(safe_serialization=True)"
        )
    raise AttackError(f"{folder} holds no weights: there is no {_WEIGHTS}")
