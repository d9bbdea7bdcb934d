"""What the guarantee rests on: one example moves the clipped sum by at most the clip norm."""

import pytest
import torch

from modiva.privacy.engine import PerExampleClipper

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


@pytest.mark.parametrize("kind", ["cnn", "lstm", "transformer", "bert"])
def test_by_automatic_clipping_every_example_moves_the_sum_by_about_the_clip_norm(kind):
    torch.manual_seed(0)
    model = pretrained_like("bert") if kind == "bert" else own(kind)
    model.double()
    batch = random_batch(6, 7, seed=3)

    def clip(part: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        losses = lambda: example_losses(model, part)  # noqa: E731
        return clipped(PerExampleClipper, model, 0.3, losses, automatic=True)

    norms, total = clip(batch)
    for removed in range(6):
        _, without = clip(batch.part(torch.arange(6) != removed))
        moved = float((total - without).norm())
        own_norm = float(norms[removed])
        assert moved < 0.3
        assert moved == pytest.approx(0.3 * own_norm / (own_norm + 0.01), rel=1e-6)


def test_a_gradient_of_zero_stays_zero_by_automatic_clipping():
    model = torch.nn.Linear(3, 1)
    losses = lambda: (model(torch.ones(4, 3)) * torch.zeros(4, 1)).sum(1)  # noqa: E731
    norms, total = clipped(PerExampleClipper, model, 1.0, losses, automatic=True)
    assert not norms.any()
    assert not total.any()
