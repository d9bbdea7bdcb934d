"""Fine-tuning of a part of a pretrained model: its last layers, or low-rank adapters.

Inside `tuned` only the part is trained; afterwards the model has the layers that it had, with the
adapters added to their weights, and every parameter asks for a gradient as it did before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from modiva.errors import ModivaError

Part = Literal["all", "last-layers", "lora"]
PARTS: tuple[Part, ...] = ("all", "last-layers", "lora")
LAST = 2  # layers
# Of LoRA (Hu et al. 2022, arXiv 2106.09685), on every linear map of the encoder's layers.
RANK, ALPHA = 8, 16


@contextmanager
def tuned(model: nn.Module, part: Part) -> Iterator[None]:
    """Let only a part of a model be trained inside the context.

    Args:
        model: a transformers sequence classifier; changed in place.
        part: the head and the last layers, or the head and adapters in all layers.

    Raises:
        ModivaError: an encoder without a list of layers, or LoRA without its library.
    """
    if part == "all":
        yield
        return
    assert isinstance(model, PreTrainedModel)
    layers = _layers(model)
    asked = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    try:
        if part == "lora":
            _adapt(model, layers)
            trained = {id(p) for name, p in model.named_parameters() if ".lora_" in name}
        else:
            last = {id(p) for p in layers[-LAST:].parameters()}
            trained = last | _after(model.base_model, layers)
        for parameter in model.base_model.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        for parameter in _head(model):
            parameter.requires_grad_(True)
        yield
    finally:
        if part == "lora":
            _merge(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(asked[name])


def _layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the layers of the encoder: its largest list of modules.

    Raises:
        ModivaError: it has none.
    """
    lists = [m for m in model.base_model.modules() if isinstance(m, nn.ModuleList)]
    if not lists:
        raise ModivaError(
            f"{type(model).__name__} has no list of layers of which to train some: train all"
        )
    return max(lists, key=lambda found: sum(p.numel() for p in found.parameters()))


def _head(model: PreTrainedModel) -> list[nn.Parameter]:
    """Return the parameters outside of the encoder."""
    inside = {id(parameter) for parameter in model.base_model.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in inside]


def _after(base: nn.Module, layers: nn.ModuleList) -> set[int]:
    """Return the ids of parameters behind the layers, such as those of a pooler."""
    order = [id(parameter) for parameter in base.parameters()]
    last = max(order.index(id(parameter)) for parameter in layers.parameters())
    return set(order[last + 1 :])


def _adapt(model: PreTrainedModel, layers: nn.ModuleList) -> None:
    """Put low-rank adapters beside the linear maps of the layers."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ModivaError("defense 'lora' needs its library: pip install modiva[lora]") from error
    inside = {id(module) for module in layers.modules()}
    maps = {
        name: type(module)
        for name, module in model.named_modules()
        if id(module) in inside and isinstance(module, nn.Linear | Conv1D)
    }
    transposed = Conv1D in maps.values()
    inject_adapter_in_model(
        LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=[*maps], fan_in_fan_out=transposed),
        model,
    )


def _merge(model: PreTrainedModel) -> None:
    """Add the adapters to the weights that they stand beside, and remove them."""
    for name, module in list(model.named_modules()):
        if hasattr(module, "get_base_layer"):  # a layer of adapters
            module.merge()
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
