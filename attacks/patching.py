"""What is changed in a target for the time of a call: looked-up vectors, padding, warnings."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import logging

FIRST = 10**9  # the first id that stands for a vector
_NOWHERE = -1  # an id that no token has


@contextmanager
def numbered_vectors(model: PreTrainedModel, vectors: Tensor) -> Iterator[None]:
    """Let ids from `FIRST` on stand for `vectors` (R, D), wherever the embedding is looked up.

    An encoder and a decoder may look up the same sentence, at other places.
    """
    asked: list[Tensor] = []

    def before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        ids, *others = args
        asked.append(ids)
        return (ids.masked_fill(ids >= FIRST, 0), *others)

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        ids = asked.pop()
        looked = output[0] if isinstance(output, tuple) else output  # quantised: with a scale
        own = vectors[(ids - FIRST).clamp_min(0)].to(looked.dtype)
        found = torch.where((ids >= FIRST).unsqueeze(-1), own, looked)
        return (found, *output[1:]) if isinstance(output, tuple) else found

    table: Any = model.get_input_embeddings()
    tables = [
        module
        for module in model.modules()
        if module is table
        or (isinstance(module, nn.Embedding) and module.weight is getattr(table, "weight", None))
    ]
    with ExitStack() as hooks:
        for module in tables:
            hooks.callback(module.register_forward_pre_hook(before).remove)
            hooks.callback(module.register_forward_hook(after).remove)
        yield


@contextmanager
def without_padding(model: PreTrainedModel) -> Iterator[None]:
    """Let a model without a padding token classify several sentences of one length.

    Such a model refuses more than one sentence, since it could not find the end of shorter ones.
    """
    config = model.config
    configs = {id(one): one for one in (config, config.get_text_config())}.values()
    changed = [one for one in configs if getattr(one, "pad_token_id", 0) is None]
    for one in changed:
        one.pad_token_id = _NOWHERE
    try:
        yield
    finally:
        for one in changed:
            one.pad_token_id = None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back warnings of what is being checked here."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
