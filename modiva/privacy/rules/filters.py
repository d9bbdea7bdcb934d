"""The rule of stacked filters under a maximum over time: norms without any product."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modiva.classifiers import stacked
from modiva.privacy.rules.registry import Call, Contribution, Rule, accumulate, register_rule


def _check(module: nn.Module) -> str | None:
    if len({parameter.requires_grad for parameter in module.parameters()}) > 1:
        return "some of its weights are frozen and some are not: freeze all or none"
    return None


def _contribute(call: Call) -> Contribution:
    """Clip all filters at once.

    The gradient of a filter of one example is its slope times the window at the one place that the
    maximum took, so that the squared norm is a sum over places, as if each were an example.
    """
    module = call.module
    assert isinstance(module, stacked.Filters)
    windows: Tensor = call.argument(0, "windows")  # (N, T, widest * D)
    slopes = call.gradient  # (N, T, F), of a filter at one place at most
    squares = slopes.square().unflatten(-1, (len(module.widths), -1)).sum(-1)  # (N, T, widths)
    total = (squares * (_window_squares(module, windows) + 1)).sum((1, 2))  # (N,)

    def add(weights: Tensor) -> None:
        parts = (module.models, -1)
        own = (slopes * weights[:, None, None]).unflatten(0, parts).flatten(1, 2)
        gradient = own.mT @ windows.unflatten(0, parts).flatten(1, 2)  # (M, F, widest * D)
        groups = zip(
            gradient.chunk(len(module.widths), 1),
            own.sum(1).chunk(len(module.widths), 1),
            strict=True,
        )
        for number, (weight, bias) in enumerate(groups):
            width = module.widths[number]
            start, size = module.start(width), module.input_size
            part = weight.narrow(-1, start * size, width * size)
            accumulate(call.trainable[f"{number}.weight"], part)
            accumulate(call.trainable[f"{number}.bias"], bias)

    return Contribution(total, add)


def _window_squares(module: stacked.Filters, windows: Tensor) -> Tensor:
    """Return the squared length of every filter width's part of the windows: (N, T, widths)."""
    left, right = (module.widest - 1) // 2, module.widest // 2
    middle = windows.narrow(-1, left * module.input_size, module.input_size)  # (N, T, D)
    squares = F.pad((middle * middle).sum(-1), (left, right))  # (N, T + widest - 1)
    length = windows.shape[1]
    shifts = [squares[:, place : place + length] for place in range(module.widest)]
    return torch.stack(
        [
            torch.stack(shifts[module.start(width) : module.start(width) + width]).sum(0)
            for width in module.widths
        ],
        dim=-1,
    )


register_rule(stacked.Filters, Rule(_contribute, check=_check, inside=True))
