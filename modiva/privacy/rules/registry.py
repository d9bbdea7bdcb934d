"""What a layer's rule is, and where rules are registered: by the exact type of the layer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from torch import Tensor, nn

from modiva.classifiers import stacked

# Elements of a rule's temporary tensors: few enough to stay in the cache.
BLOCK = 1 << 17

Value = TypeVar("Value")
Cache = dict[tuple[Any, ...], tuple[Tensor, Any]]


@dataclass(frozen=True)
class Call:
    """One call of a layer in a forward pass, as its rule sees it during the backward pass.

    Args:
        module: the layer.
        trainable: its parameters that are trained, by their name in the layer.
        args: its positional arguments, the first dimension of tensors being the example's.
        kwargs: its keyword arguments.
        output: what it gave; None unless the rule watches the input.
        gradient: (B, ...), of the summed losses with respect to the watched tensor; so row i is
            the gradient of example i's loss alone.
        cache: values that calls of the same backward pass share (see `shared`).
    """

    module: nn.Module
    trainable: Mapping[str, nn.Parameter]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Tensor | None
    gradient: Tensor
    cache: Cache = field(repr=False)

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument, however it was passed."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    def shared(self, tensor: Tensor, what: str, compute: Callable[[], Value]) -> Value:
        """Return `compute()`, once for all calls that need `what` of this same tensor.

        Query, key and value layers have one input, and residual branches one gradient.
        """
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, what)
        if key not in self.cache:
            # The tensor is kept, so that its memory cannot become another tensor's.
            self.cache[key] = (tensor, compute())
        value: Value = self.cache[key][1]
        return value


@dataclass(frozen=True)
class Contribution:
    """What one call of a layer adds to the clipped step.

    Args:
        squared_norms: (B,), of the gradients of all the layer's trainable parameters together.
        add: given the examples' weights (B,), adds the weighted sum of their gradients to `.grad`
            of each of those parameters.
    """

    squared_norms: Tensor
    add: Callable[[Tensor], None]


def no_check(module: nn.Module) -> str | None:
    """Accept every configuration of a layer."""
    return None


@dataclass(frozen=True)
class Rule:
    """How one layer type is clipped.

    Args:
        contribute: norms and weighted sum of a call.
        parameters: the parameter names that the rule handles; other trainable ones are refused.
        watch: the tensor whose gradient the rule needs: the output, or the first argument.
        inside: whether the parameters of the layers inside are the rule's too, whatever their
            names; these layers are not called.
        check: returns what is wrong with a layer's configuration and how to mend it, or None.
    """

    contribute: Callable[[Call], Contribution]
    parameters: tuple[str, ...] = ("weight", "bias")
    watch: Literal["output", "input"] = "output"
    inside: bool = False
    check: Callable[[nn.Module], str | None] = no_check


_RULES: dict[type[nn.Module], Rule] = {}


def register_rule(layer: type[nn.Module], rule: Rule) -> None:
    """Clip layers of exactly this type by this rule, replacing any earlier one.

    Subclasses are not covered: they may compute something else.
    """
    _RULES[layer] = rule


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule of the module's exact type, or None."""
    return _RULES.get(type(module))


def accumulate(parameter: nn.Parameter, value: Tensor) -> None:
    """Add `value` to the parameter's gradient, or make it the gradient where there is none."""
    if parameter.grad is None:
        # Contiguous: fused optimisers read a gradient in the order of its memory.
        parameter.grad = value.to(parameter.dtype).reshape(parameter.shape).contiguous()
    else:
        parameter.grad.add_(value.view(parameter.shape))


def models_of(module: nn.Module) -> int:
    """Return how many models a layer is of; its examples are in as many equal parts, in order."""
    return module.models if isinstance(module, stacked.Layer) else 1


def weighted_sum(weights: Tensor, gradients: Tensor, models: int) -> Tensor:
    """Return each model's weighted sum of gradients: (N,), (N, ...) -> (M, product of ...)."""
    return (weights.view(models, 1, -1) @ gradients.reshape(models, -1, gradients[0].numel()))[:, 0]


def squared_sum(values: Tensor) -> Tensor:
    """Return each example's sum of squares: (B, ...) -> (B,)."""
    flat = values.flatten(1)
    return (flat * flat).sum(1)
