"""What the guarantee rests on: one example moves the clipped sum by at most the clip norm."""

import pytest
import torch

from modiva.privacy import PerExampleClipper

from .models import Batch, clipped, example_losses, own, pretrained_like, random_batch


@pytest.mark.parametrize("clip_norm", [0.01, 0.3, 5.0])
@pytest.mark.parametrize("kind", ["cnn", "lstm", "transformer", "bert"])
def test_removing_one_example_moves_the_sum_by_at_most_the_clip_norm(kind, clip_norm):
    torch.manual_seed(0)
    model = pretrained_like("bert") if kind == "bert" else own(kind, char_embeddings=True)
    model.double()
    batch = random_batch(6, 7, seed=3)

    def clip(part: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return clipped(PerExampleClipper, model, clip_norm, lambda: example_losses(model, part))

    norms, total = clip(batch)
    for removed in range(6):
        _, without = clip(batch.part(torch.arange(6) != removed))
        moved = float((total - without).norm())
        assert moved <= clip_norm * (1 + 1e-9)
        assert moved == pytest.approx(min(clip_norm, float(norms[removed])), rel=1e-6)
