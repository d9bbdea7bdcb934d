"""The clippers of private training by the name of its method."""

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from modiva.condition import Method
from modiva.privacy.clipper import Clipper, ClipperFactory, Clipping
from modiva.privacy.engine import PerExampleClipper
from modiva.privacy.microbatch import MicrobatchClipper
from modiva.privacy.reference import ReferenceClipper


def _exact(model: nn.Module, clipping: Clipping) -> Clipper:
    return PerExampleClipper(model, clipping.clip_norm, clipping.automatic)


def _one_by_one(model: nn.Module, clipping: Clipping) -> Clipper:
    return ReferenceClipper(model, clipping.clip_norm, clipping.automatic)


def _means(model: nn.Module, clipping: Clipping) -> Clipper:
    microbatches = clipping.microbatches
    return MicrobatchClipper(
        model,
        clipping.clip_norm,
        microbatches.per_layer,
        clipping.automatic,
        count=max(round(clipping.expected_batch_size / microbatches.size), 1),
        generator=clipping.generator,
    )


CLIPPERS: Mapping[Method, ClipperFactory] = MappingProxyType(
    {"dp": _exact, "edp": _means, "loop": _one_by_one}
)
