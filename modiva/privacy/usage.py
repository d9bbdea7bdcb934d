"""Sees parameters that are used outside their own layer, which no hook on layers would notice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from modiva.errors import ModivaError


class ParameterUse(TorchFunctionMode):
    """While active, raises where a watched parameter enters a computation outside its layer.

    Args:
        owners: layer name by id of the parameter.
        running: the layers whose forward pass is under way; the engine's hooks keep it.
    """

    def __init__(self, owners: Mapping[int, str], running: set[str]) -> None:
        super().__init__()
        self.owners = owners
        self.running = running

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run `func`; raise when it made a tensor from a parameter out of place."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        # Reading a dtype or a shape is no use.
        if isinstance(result, Tensor | tuple | list) and torch.is_grad_enabled():
            for tensor in _tensors((args, kwargs)):
                owner = self.owners.get(id(tensor))
                if owner is not None and owner not in self.running and _has_tensor(result):
                    raise ModivaError(
                        f"a parameter of {owner} is used outside that layer (by {func.__name__}), "
                        "so its gradient cannot be clipped there: freeze it or give the other use "
                        "a parameter of its own"
                    )
        return result


def _has_tensor(result: Any) -> bool:
    return next(_tensors(result), None) is not None


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
