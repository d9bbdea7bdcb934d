"""Stacked layers: one clipper, and each example's norm is that of its own model's gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modiva.classifiers import stacked
from modiva.errors import ModivaError
from modiva.privacy.engine import PerExampleClipper

from .models import Batch, assert_exact, example_losses, own, random_batch


@settings(max_examples=8, deadline=None)
@given(
    models=st.integers(1, 3),
    examples=st.integers(1, 3),
    length=st.integers(1, 7),
    seed=st.integers(0, 2**31),
)
@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("cnn", {"kernel_sizes": (1, 2, 5)}),
        ("cnn", {"char_embeddings": True, "encoder_dropout": 0.3}),
        ("lstm", {"char_embeddings": True, "layers": 2}),
        ("lstm", {"pooling": "last", "freeze_embeddings": True}),
        ("transformer", {"layers": 2, "max_positions": 8}),
    ],
)
def test_a_stack_is_clipped_as_one_backward_pass_for_each_example(
    kind, spec, models, examples, length, seed
):
    torch.manual_seed(seed)
    alone = [own(kind, **spec) for _ in range(models)]
    stack = stacked.stack_models(alone).double().train()
    batch = random_batch(models * examples, length, seed)
    assert_exact(stack, lambda: example_losses(stack, batch), 1e-9)
    logits = stack.eval()(batch.input_ids, batch.attention_mask).logits
    for model, ids, mask, found in zip(
        alone,
        batch.input_ids.chunk(models),
        batch.attention_mask.chunk(models),
        logits.chunk(models),
        strict=True,
    ):
        torch.testing.assert_close(found, model.double().eval()(ids, mask).logits)


def test_filters_are_clipped_exactly_where_windows_are_equal():
    """A maximum that is reached at several places has its gradient at one of them."""
    torch.manual_seed(0)
    stack = stacked.stack_models([own("cnn", kernel_sizes=(1, 2, 3)) for _ in range(2)]).double()
    ids = torch.tensor([[3] * 9, [4, 5] * 4 + [0], [6] * 5 + [0] * 4, [7] * 8 + [2]])
    batch = Batch(ids, (ids > 0).long(), torch.arange(4))
    assert_exact(stack.train(), lambda: example_losses(stack, batch), 1e-9)


def test_layers_without_a_stacked_form_are_told():
    model = own("cnn")
    assert stacked.can_stack(model)
    model.encoder.convolutions[0] = torch.nn.Bilinear(2, 2, 2)
    model.encoder = torch.nn.Sequential(model.encoder.convolutions)
    assert not stacked.can_stack(model)


def test_filters_that_are_frozen_in_part_are_refused():
    stack = stacked.stack_models([own("cnn"), own("cnn")])
    next(stack.encoder.parameters()).requires_grad_(False)
    with pytest.raises(ModivaError, match="freeze all or none"):
        PerExampleClipper(stack, 1.0)
