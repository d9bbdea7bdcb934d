"""Refuses, before the first step, what the book-keeping engine could not clip exactly."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from modiva.errors import ModivaError
from modiva.privacy.rules.registry import Rule, rule_for

_REMEDIES: Mapping[type[nn.Module], str] = {
    nn.RNNBase: "replace it by modiva.classifiers.recurrence.LstmRecurrence and nn.Linear",
    nn.MultiheadAttention: "replace it by nn.Linear layers for query, key, value and output",
    nn.modules.conv._ConvNd: "replace it by nn.Linear over shifted windows",
}


@dataclass(frozen=True)
class Unit:
    """A layer that is clipped; `trainable` has its parameters by their names in the layer."""

    name: str
    module: nn.Module
    rule: Rule
    trainable: Mapping[str, nn.Parameter]

    @property
    def label(self) -> str:
        """How messages name the layer: where it is and what it is."""
        return label_of(self.name, self.module)


def label_of(name: str, module: nn.Module) -> str:
    """Name a layer for a message."""
    return f"{name or 'the model'} ({type(module).__name__})"


def clippable_units(model: nn.Module) -> tuple[Unit, ...]:
    """Return the layers that hold the trainable parameters, each of which has a rule.

    Raises:
        ModivaError: naming the layer and the remedy, when a trainable parameter belongs to two
            layers, to a layer without a rule, or to one whose configuration a rule cannot clip.
    """
    units: list[Unit] = []
    owners: dict[int, str] = {}
    covered: list[str] = []  # by the rule of a layer around
    for name, module in model.named_modules():
        if name.startswith(tuple(covered)):
            continue
        rule = rule_for(module)
        inside = rule is not None and rule.inside
        if inside:
            covered.append(f"{name}.")
        direct = module.named_parameters(recurse=inside, remove_duplicate=False)
        trainable = {key: parameter for key, parameter in direct if parameter.requires_grad}
        if not trainable:
            continue
        label = label_of(name, module)
        for key, parameter in trainable.items():
            if id(parameter) in owners:
                raise ModivaError(
                    f"{label} shares its {key} with {owners[id(parameter)]}: tied weights cannot "
                    "be clipped layer by layer; freeze the parameter or give each layer its own"
                )
            owners[id(parameter)] = label
        if rule is None:
            raise ModivaError(
                f"{label} holds trainable {', '.join(trainable)} and its exact type has no "
                f"clipping rule: {_remedy(module)}, freeze it, or register a rule (register_rule)"
            )
        unknown = sorted(set(trainable) - set(rule.parameters))
        if unknown and not rule.inside:
            raise ModivaError(
                f"{label} holds trainable {', '.join(unknown)}, which its clipping rule does not "
                "cover: freeze it or register a rule for this layer's own type (register_rule)"
            )
        problem = rule.check(module)
        if problem is not None:
            raise ModivaError(f"{label} cannot be clipped: {problem}")
        units.append(Unit(name, module, rule, trainable))
    return tuple(units)


def _remedy(module: nn.Module) -> str:
    for layer, remedy in _REMEDIES.items():
        if isinstance(module, layer):
            return remedy
    return "replace it by layers that have one"
