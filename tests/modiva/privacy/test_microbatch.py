"""Clipped micro-batch means: their sensitivity is 2C, and no less."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from modiva.errors import ModivaError
from modiva.privacy import PrivacyPlan
from modiva.privacy.microbatch import MicrobatchClipper

from .models import example_losses, own, random_batch


def clipped_means(
    gradients: torch.Tensor,
    places: torch.Tensor,
    clip_norm: float = 1.0,
    per_layer: bool = False,
    automatic: bool = False,
) -> torch.Tensor:
    """Return the sum (D,) for examples whose gradients (N, D) are given: losses w.x have them."""
    model = nn.Linear(gradients.shape[1], 1, bias=False).double()
    clipper = MicrobatchClipper(model, clip_norm, per_layer, automatic)
    model.weight.grad = torch.zeros_like(model.weight)
    for place in places.unique():
        clipper.backward(model(gradients[places == place]).squeeze(1))
        clipper.finish()
    return model.weight.grad.flatten()


@settings(max_examples=60, deadline=None)
@given(
    examples=st.integers(1, 12),
    microbatches=st.integers(1, 5),
    clip_norm=st.floats(0.01, 10),
    scale=st.floats(0.01, 100),
    automatic=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_one_example_moves_the_sum_by_at_most_two_clip_norms(
    examples, microbatches, clip_norm, scale, automatic, seed
):
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(examples, 3, generator=generator, dtype=torch.float64)
    gradients[0] *= scale
    places = torch.randint(microbatches, (examples,), generator=generator)
    settings = {"clip_norm": clip_norm, "automatic": automatic}
    moved = clipped_means(gradients, places, **settings) - clipped_means(
        gradients[1:], places[1:], **settings
    )
    assert float(moved.norm()) <= 2 * clip_norm * (1 + 1e-9)


@pytest.mark.parametrize("automatic", [False, True])
def test_one_example_can_move_the_sum_by_almost_two_clip_norms(automatic):
    # Alone the mean is clipped to C; an opposite, larger gradient turns it round to -C.
    gradients = torch.tensor([[10.0, 0.0], [0.01, 0.02], [-40.0, 0.0]]).double()
    places = torch.zeros(3, dtype=torch.long)
    settings = {"automatic": automatic}
    moved = clipped_means(gradients, places, **settings) - clipped_means(
        gradients[:2], places[:2], **settings
    )
    assert float(moved.norm()) == pytest.approx(2, abs=5e-3)
    # A plan that promised a sensitivity of C would be broken by it: the accounting must know.
    assert float(moved.norm()) > 1.9
    plan = PrivacyPlan(1000, 0.05, 20, 1.0, 2.0, 1e-5, sensitivity=MicrobatchClipper.sensitivity)
    assert plan.effective_noise_multipliers[0] == 1.0


def test_cutting_the_batch_into_equal_parts_would_move_every_mean():
    # Why examples are assigned at random: with places by order, one example shifts all the others.
    gradients = torch.tensor([[1e6 * (-0.5) ** i] for i in range(9)]).double()
    by_order = torch.arange(9) // 2
    moved = clipped_means(gradients, by_order) - clipped_means(gradients[1:], by_order[:8])
    assert float(moved.norm()) == pytest.approx(9)


@pytest.mark.parametrize("kind", ["cnn", "lstm", "transformer"])
@pytest.mark.parametrize("per_layer", [True, False])
def test_a_models_sum_moves_by_at_most_two_clip_norms(kind, per_layer):
    torch.manual_seed(0)
    model = own(kind, char_embeddings=True).double()
    batch = random_batch(6, 7, seed=3)
    clipper = MicrobatchClipper(model, 0.3, per_layer)

    def mean(chosen: torch.Tensor) -> torch.Tensor:
        model.zero_grad(set_to_none=True)
        clipper.backward(example_losses(model, batch.part(chosen)))
        clipper.finish()
        return torch.cat([parameter.grad.flatten() for parameter in clipper.parameters])

    everything = mean(torch.arange(6))
    assert float(everything.norm()) <= 0.3 * (1 + 1e-9)
    for removed in range(6):
        moved = float((everything - mean(torch.arange(6) != removed)).norm())
        assert 0 < moved <= 0.6


def test_layers_share_the_clip_norm_by_their_size():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()  # 9 and 4 elements
    clipper = MicrobatchClipper(model, 2.0)
    assert clipper.layers == {"0": (0, 1), "2": (2, 3)}
    assert clipper.clip_norms == pytest.approx((2 * (9 / 13) ** 0.5, 2 * (4 / 13) ** 0.5))
    assert sum(norm**2 for norm in clipper.clip_norms) == pytest.approx(4)
    clipper.backward(1e3 * model(torch.randn(4, 2).double()).squeeze(1))
    norms = clipper.finish()
    assert (norms > 2).all()
    for name, norm in zip(("0", "2"), clipper.clip_norms, strict=True):
        layer = model.get_submodule(name)
        assert float((layer.weight.grad.norm() ** 2 + layer.bias.grad.norm() ** 2) ** 0.5) == (
            pytest.approx(norm)
        )


@pytest.mark.parametrize("per_layer", [True, False])
def test_chunks_of_a_microbatch_give_the_plain_mean_gradient_when_nothing_is_clipped(per_layer):
    model = own("lstm").double()
    batch = random_batch(7, 5, seed=1)
    example_losses(model, batch).mean().backward()
    plain = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad(set_to_none=True)
    clipper = MicrobatchClipper(model, 1e6, per_layer)
    for chunk in (slice(0, 2), slice(2, 2), slice(2, 7)):
        clipper.backward(example_losses(model, batch.part(chunk)))
    clipper.finish()
    for parameter, expected in zip(model.parameters(), plain, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-12)
    assert clipper.finish().tolist() == [0.0] * len(clipper.layers)  # empty: adds nothing
    for parameter, expected in zip(model.parameters(), plain, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-12)


def test_examples_are_assigned_uniformly_and_independently():
    generator = torch.Generator().manual_seed(0)
    clipper = MicrobatchClipper(nn.Linear(2, 1), 1.0, count=4, generator=generator)
    drawn = torch.stack([clipper.assign(32) for _ in range(500)])  # (500, 32)
    assert drawn.unique().tolist() == [0, 1, 2, 3]
    pairs = torch.zeros(4, 4)
    for first, second in zip(drawn[:, 0].tolist(), drawn[:, 1].tolist(), strict=True):
        pairs[first, second] += 1
    assert stats.chisquare(pairs.flatten()).pvalue > 1e-4
    assert stats.chisquare(torch.bincount(drawn.flatten())).pvalue > 1e-4


@pytest.mark.parametrize("examples", [0, 1, 5, 40])
def test_parts_hold_every_example_once_and_empty_ones_are_counted(examples):
    clipper = MicrobatchClipper(nn.Linear(2, 1), 1.0, count=8)
    parts = list(clipper.parts(examples))
    assert all(len(part) for part in parts)
    assert sorted(place for part in parts for place in part.tolist()) == list(range(examples))
    assert clipper.describe()["microbatches"]["empty"] == 8 - len(parts)
    assert clipper.divisor(1000.0) == 8


def test_what_cannot_be_clipped_is_refused():
    with pytest.raises(ModivaError, match="clip_norm=0"):
        MicrobatchClipper(nn.Linear(2, 1), 0.0)
    with pytest.raises(ModivaError, match="BatchNorm1d"):
        MicrobatchClipper(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 1.0)
    model = nn.Sequential(nn.Linear(2, 1), nn.Linear(2, 1))
    clipper = MicrobatchClipper(model, 1.0)
    with pytest.raises(ModivaError, match=r"1\.weight is trainable but took no part"):
        clipper.backward(model[0](torch.ones(3, 2)).squeeze(1))
    layer = nn.Linear(2, 1)
    clipper = MicrobatchClipper(layer, 1.0)
    clipper.backward(layer(torch.tensor([[torch.inf, 0.0]])).squeeze(1))
    with pytest.raises(ModivaError, match="not finite"):
        clipper.finish()
    assert layer.weight.grad is None
