"""Exact per-example clipping in one backward pass, by book-keeping.

Parameters do not require gradients while the engine is attached, so autograd computes activation
gradients only. From a layer's input and its output gradient its rule gets the squared norm of each
example's gradient at once, and later the weighted sum of the gradients; no example's gradient is
ever formed. Source: Bu et al. 2022 (arXiv 2210.00038), with norms computed during the one backward.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modiva.errors import ModivaError
from modiva.privacy.checks import check_losses, clip_weights
from modiva.privacy.clipper import BaseClipper
from modiva.privacy.coverage import Unit, clippable_units
from modiva.privacy.rules.registry import Cache, Call, Contribution
from modiva.privacy.usage import ParameterUse


class _Source(torch.autograd.Function):
    """The identity, through which a tensor that required no gradient comes to require one."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, tracer: Tensor) -> Tensor:
        # The same tensor, not a view of it: what follows may change it in place.
        ctx.mark_dirty(values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None]:
        return None, None


@dataclass
class _Record:
    """What is kept of one layer's call until the backward pass is over."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    watched: Tensor | None  # kept only while the independence of the examples is to be verified
    output: Tensor | None = None
    versions: list[tuple[Tensor, int]] = field(default_factory=list)
    contribution: Contribution | None = None


class PerExampleClipper(BaseClipper):
    """Clips each example's gradient to `clip_norm` and leaves the sum in `.grad`.

    Use: make it, run the model's forward pass with gradients enabled, call `backward` with the
    losses. Chunks of a batch add up in `.grad` until it is zeroed. `close` (or the end of a `with`
    block) gives the model back as it was.

    Formal guarantee: adding or removing one example moves the sum in `.grad` by at most `clip_norm`
    in L2 norm (up to floating point), provided that example i's loss depends on example i alone,
    which the first backward pass verifies, and that the first dimension of every layer's tensors
    is the example's, which every pass verifies.

    Args:
        model: built of layers with a registered rule, wherever it has trainable parameters.
        clip_norm: C, above 0: the largest L2 norm of one example's gradient.
        automatic: scale every gradient by C / (norm + 0.01) and not only the long ones down, so
            that there is no C to choose (automatic clipping, see `clip_weights`).

    Raises:
        ModivaError: naming the layer and the remedy, for anything it could not clip exactly.
    """

    def __init__(self, model: nn.Module, clip_norm: float, automatic: bool = False) -> None:
        super().__init__(model, clip_norm, automatic)
        self._units = {unit.name: unit for unit in clippable_units(model)}
        self._records: dict[str, _Record] = {}
        self._cache: Cache = {}
        self._running: set[str] = set()
        owners = {
            id(parameter): unit.label
            for unit in self._units.values()
            for parameter in unit.trainable.values()
        }
        self._use: AbstractContextManager[object] | None = ParameterUse(owners, self._running)
        self._generation = 0
        self._batch: int | None = None  # the size that the forward pass was given
        self._losses: int | None = None  # the number of losses, while they are differentiated
        self._independent = False  # whether examples were seen not to depend on each other
        self._probing = False
        self._tracer = torch.zeros((), requires_grad=True)
        self._handles: list[RemovableHandle] = [
            model.register_forward_pre_hook(self._begin, with_kwargs=True, prepend=True),
            model.register_forward_hook(self._end, always_call=True),
        ]
        for unit in self._units.values():
            before, after = partial(self._before, unit), partial(self._after, unit)
            self._handles += [
                unit.module.register_forward_pre_hook(before, with_kwargs=True),
                unit.module.register_forward_hook(after, with_kwargs=True),
            ]
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def backward(self, losses: Tensor) -> Tensor:
        """Add the sum of clipped gradients to every `.grad` and return the norms (B,).

        Args:
            losses: (B,), one loss an example (`reduction="none"`).

        Raises:
            ModivaError: when the losses are not one an example, a gradient is not finite, or a
                trainable parameter took no part; `.grad` is then as it was.
        """
        check_losses(losses)
        if not len(losses):
            self._forget()
            for parameter in self.parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            return losses.detach()
        try:
            self._losses = len(losses)
            if len(losses) > 1 and not self._independent:
                self._probe(losses)
            torch.autograd.backward(losses, torch.ones_like(losses))
            contributions = self._contributions()
            squares = torch.stack([part.squared_norms for part in contributions]).sum(0)
            norms = squares.clamp(min=0).sqrt()  # (B,)
            weights = clip_weights(norms, self.clip_norm, self.automatic)
            self._forget()
            with torch.no_grad():
                while contributions:
                    # What a layer kept is freed at once, which lowers the peak.
                    contributions.pop().add(weights)
        finally:
            self._losses = None
            self._forget()
        self.count(norms, self.clip_norm)
        return norms

    def close(self) -> None:
        """Remove every hook and let the parameters require gradients again."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._forget()
        for parameter in self.parameters:
            parameter.requires_grad_(True)

    # Forward pass

    def _begin(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Start a new forward pass: what an abandoned one left is dropped."""
        if not torch.is_grad_enabled():
            return
        self._forget()
        inputs = [*args, *kwargs.values()]
        sizes = [len(value) for value in inputs if isinstance(value, Tensor) and value.dim()]
        self._batch = sizes[0] if sizes else None
        if self._use is not None:
            self._use.__enter__()

    def _end(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if torch.is_grad_enabled() and self._use is not None:
            self._use.__exit__(None, None, None)
            if output is not None:  # the forward pass did not fail
                self._use = None  # once is enough: where parameters are used does not change

    def _before(
        self, unit: Unit, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if not torch.is_grad_enabled():
            return None
        if unit.name in self._records:
            raise ModivaError(
                f"{unit.label} is called twice in one forward pass, and the norm of a sum is not "
                "the sum of norms: give each call a layer of its own or freeze it"
            )
        self._running.add(unit.label)
        first = args[0] if args else next(iter(kwargs.values()))
        changed = first
        if isinstance(module, nn.Embedding) and first.dim() > 1 and self._batch is not None:
            if len(first) == 1 < self._batch:
                # Ids that are broadcast over the batch would sum the examples' gradients.
                changed = first.expand(self._batch, *first.shape[1:])
        elif unit.rule.watch == "input":
            # A name of its own, so that only this layer's part of the gradient is seen.
            if first.requires_grad:
                changed = first.view_as(first)
            else:  # detached: the caller's own tensor must not come to require a gradient
                changed = _Source.apply(first.detach(), self._tracer)  # type: ignore[no-untyped-call]
        if unit.rule.watch == "input":
            self._records[unit.name] = _Record(args, kwargs, self._kept(changed))
            self._watch(unit, changed)
        if changed is first:
            return None
        if args:
            return (changed, *args[1:]), kwargs
        return args, {**kwargs, next(iter(kwargs)): changed}

    def _after(
        self,
        unit: Unit,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Tensor,
    ) -> Tensor | None:
        if not torch.is_grad_enabled():
            return None
        self._running.discard(unit.label)
        replaced = None
        if unit.rule.watch == "output":
            if not output.requires_grad:
                output = replaced = _Source.apply(output, self._tracer)  # type: ignore[no-untyped-call]
            record = self._records[unit.name] = _Record(args, kwargs, self._kept(output))
            self._watch(unit, output)
        else:
            record = self._records[unit.name]
            record.args, record.kwargs, record.output = args, kwargs, output
        kept = [*args, *kwargs.values()] + ([] if record.output is None else [record.output])
        record.versions = [(value, value._version) for value in kept if isinstance(value, Tensor)]
        return replaced

    def _kept(self, watched: Tensor) -> Tensor | None:
        return None if self._independent else watched

    def _watch(self, unit: Unit, tensor: Tensor) -> None:
        # The hook holds no tensor: a forward pass without a backward is freed at once.
        tensor.register_hook(partial(self._on_gradient, unit, self._generation))

    # Backward pass

    def _on_gradient(self, unit: Unit, generation: int, gradient: Tensor) -> None:
        if self._probing:
            return
        record = self._records.get(unit.name)
        if generation != self._generation or record is None or record.contribution is not None:
            raise ModivaError(
                f"the losses reach {unit.label} through more than the last forward pass: call "
                "backward once after each forward pass, and before the next"
            )
        if self._losses is None:
            raise ModivaError("call PerExampleClipper.backward(losses), not backward on a loss")
        for tensor, version in record.versions:
            if tensor._version != version:
                raise ModivaError(
                    f"what {unit.label} was given or gave was changed in place afterwards: use an "
                    "operation that is not in place (such as inplace=False)"
                )
        first = record.args[0] if record.args else next(iter(record.kwargs.values()))
        self._check_size(unit, first)
        self._check_size(unit, gradient)
        record.contribution = unit.rule.contribute(
            Call(
                unit.module,
                unit.trainable,
                record.args,
                record.kwargs,
                record.output,
                gradient,
                self._cache,
            )
        )
        record.args, record.kwargs, record.output = (), {}, None
        record.versions.clear()

    def _check_size(self, unit: Unit, tensor: Tensor) -> None:
        if len(tensor) != self._losses:
            raise ModivaError(
                f"{unit.label} sees a first dimension of {len(tensor)} where there are "
                f"{self._losses} losses: put the examples first, expand what is shared by the "
                "batch (such as position ids), or freeze the layer"
            )

    def _contributions(self) -> list[Contribution]:
        found = []
        for unit in self._units.values():
            record = self._records.get(unit.name)
            if record is None or record.contribution is None:
                raise ModivaError(
                    f"{unit.label} is trainable but took no part in this forward and backward "
                    "pass: freeze it (requires_grad_(False)) or use it"
                )
            found.append(record.contribution)
        return found

    def _probe(self, losses: Tensor) -> None:
        """Verify, once, that one example's loss reaches only its own row of every layer."""
        # Of the largest loss: that of an empty place is zero and reaches nothing.
        row = int(losses.detach().abs().argmax())
        watched = {name: record.watched for name, record in self._records.items()}
        tensors = [tensor for tensor in watched.values() if tensor is not None]
        self._probing = True
        try:
            gradients = torch.autograd.grad(
                losses[row], tensors, retain_graph=True, allow_unused=True
            )
        finally:
            self._probing = False
        shown = bool(losses[row] != 0)
        for name, gradient in zip(watched, gradients, strict=True):
            if gradient is None:
                continue
            unit = self._units[name]
            self._check_size(unit, gradient)
            others = torch.cat([gradient[:row], gradient[row + 1 :]])
            if bool(((others != 0) & ~others.isnan()).any()):
                raise ModivaError(
                    f"at {unit.label} the loss of one example depends on others of its batch (or "
                    "its first dimension is not the example's), so no example has a gradient of "
                    "its own: put examples first and remove what mixes them"
                )
            shown = shown and not bool(others.isnan().any())
        self._independent = shown

    def _forget(self) -> None:
        self._records.clear()
        self._cache.clear()
        self._running.clear()
        self._generation += 1
        self._batch = None
