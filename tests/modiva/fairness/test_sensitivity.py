"""Sensitivity and counterfactual gaps: the identities that they must keep."""

import numpy as np
import pytest
import torch

from modiva.classifiers import TargetSpec, build
from modiva.fairness.sensitivity import counterfactual_gaps, jacobian, prediction_sensitivity

WORDS = ["call my mother now", "turn the lights on", "what is the weather"]


@pytest.fixture(params=["cnn", "lstm", "transformer"])
def model(request):
    return build(TargetSpec(request.param, 6, 8), texts=WORDS, intents=["a", "b", "c"]).model.eval()


def sentences():
    ids = torch.tensor([[2, 3, 4, 5], [6, 7, 8, 0]])
    return ids, (ids != 0).long()


def test_signed_derivatives_of_all_classes_sum_to_zero_and_padding_has_none(model):
    ids, mask = sentences()
    found = jacobian(model, ids, mask)  # (B, C, T, D)
    assert found.shape[:3] == (2, 3, 4)
    assert found.abs().max() > 0
    assert found.sum(1).abs().max() < 1e-6
    assert not found[1, :, 3].any()


def test_the_jacobian_agrees_with_a_forward_derivative(model):
    model = model.double()
    ids, mask = sentences()
    found = jacobian(model, ids, mask)
    vectors = model.input_vectors(ids).detach()
    direction = torch.randn(vectors.shape, dtype=vectors.dtype) * mask[..., None]

    def chances(at):
        return model(inputs_embeds=at, attention_mask=mask).logits.softmax(-1)

    step = 1e-6
    moved = (chances(vectors + step * direction) - chances(vectors - step * direction)) / (2 * step)
    assert torch.allclose(moved, torch.einsum("bctd,btd->bc", found, direction), atol=1e-7)


def test_two_classes_move_alike():
    model = build(TargetSpec("cnn", 6, 5), texts=WORDS, intents=["a", "b"]).model.eval()
    found = jacobian(model, *sentences())
    assert torch.allclose(found[:, 0], -found[:, 1], atol=1e-7)


def test_sensitivity_is_a_mean_over_tokens_and_scaled_logits_leave_its_ratio():
    model = build(TargetSpec("cnn", 6, 5), texts=WORDS, intents=["a", "b", "c"]).model.eval()
    ids, mask = sentences()
    found = jacobian(model, ids, mask)
    control = prediction_sensitivity(found, mask)
    each = [prediction_sensitivity(found[:1], torch.eye(4)[t : t + 1]) for t in range(4)]
    assert torch.allclose(control[:1], torch.stack(each).mean(0))
    first = torch.zeros(2, 4)
    first[:, 0] = 1
    ratio = prediction_sensitivity(found, first) / control
    with torch.no_grad():
        model.head.weight *= 1e-3
        model.head.bias *= 1e-3
    flat = jacobian(model, ids, mask)
    assert prediction_sensitivity(flat, mask).mean() < 0.1 * control.mean()
    small = prediction_sensitivity(flat, first) / prediction_sensitivity(flat, mask)
    # The number fell by three orders with the decisions unchanged; the ratio is of the same size.
    assert torch.all((small / ratio > 0.3) & (small / ratio < 3))


def test_a_model_without_group_effect_has_equal_gaps_and_a_planted_bias_is_recovered():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.02, (4000, 2, 3, 1))
    fair = np.concatenate([0.5 + noise, 0.5 - noise], -1)
    gaps = counterfactual_gaps(fair, [0] * len(fair))
    assert gaps.between == pytest.approx(gaps.within, rel=0.03)
    assert abs(gaps.signed) < 1e-3
    shift = np.array([0.1, 0.0])[:, None, None]
    biased = np.concatenate([0.5 + noise + shift, 0.5 - noise - shift], -1)
    gaps = counterfactual_gaps(biased, [0] * len(biased))
    assert gaps.signed == pytest.approx(0.1, abs=2e-3)
    assert gaps.between > 3 * gaps.within
    # Names of the second group stand on the border: half of them are given the other class.
    assert gaps.flips_between == pytest.approx(0.5, abs=0.02)
    assert gaps.flips_within == pytest.approx(0.25, abs=0.02)


def test_one_name_a_group_leaves_no_control():
    with pytest.raises(ValueError, match="two or more"):
        counterfactual_gaps(np.full((3, 2, 1, 2), 0.5), [0, 0, 0])
