"""What both clipping engines check of a model and of its losses before they use them."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from modiva.errors import ModivaError

# Added to norms by automatic clipping, so that a gradient of zero stays zero: its authors' value.
STABILITY = 0.01


def trainable_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters to train by name; raise where examples would not stay apart."""
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            raise ModivaError(
                f"{name or 'the model'} ({type(module).__name__}) mixes the examples of a batch, "
                "so no example has a gradient of its own: replace it by nn.LayerNorm"
            )
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ModivaError(
            "the model has no trainable parameter: unfreeze one (requires_grad_(True))"
        )
    return trainable


def check_losses(losses: Tensor) -> None:
    """Raise unless `losses` is one differentiable loss for each example."""
    if losses.dim() != 1:
        raise ModivaError(
            f"losses has shape {tuple(losses.shape)}, and (B,) is needed, one loss for each "
            'example: compute it with reduction="none"'
        )
    if len(losses) and not losses.requires_grad:
        raise ModivaError(
            "losses do not depend on a trainable parameter: run the forward pass with gradients "
            "enabled and after the clipper was made"
        )


def clip_weights(
    norms: Tensor, clip_norm: float, automatic: bool = False, first: int = 0
) -> Tensor:
    """Return the factor that each gradient is multiplied by, so that none exceeds `clip_norm`.

    Args:
        norms: (B,), of the gradients.
        clip_norm: C.
        automatic: C / (norm + STABILITY) in place of min(1, C / norm): every gradient becomes
            about as long as C, which then only scales the step (Bu et al. 2022, arXiv 2206.07136,
            AUTO-S).
        first: the place in the batch of the first of them, for the message.

    Raises:
        ModivaError: a norm that is not finite.
    """
    finite = torch.isfinite(norms)
    if not bool(finite.all()):
        example = first + int((~finite).nonzero()[0])
        raise ModivaError(
            f"the gradient of example {example} of this batch is not finite, so it cannot be "
            "clipped: lower the learning rate or use float32"
        )
    return clip_norm / (norms + STABILITY) if automatic else (clip_norm / norms).clamp(max=1.0)
