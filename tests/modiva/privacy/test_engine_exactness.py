"""Per-example norms and clipped sums equal those of one backward pass for each example."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from modiva.classifiers import LstmRecurrence
from modiva.privacy.engine import PerExampleClipper

from .models import (
    assert_exact,
    clipped,
    example_losses,
    own,
    pretrained_like,
    random_batch,
)

seeds = st.integers(0, 2**31)
some = settings(max_examples=12, deadline=None)
many = settings(max_examples=40, deadline=None)


@many
@given(
    batch=st.integers(1, 5),
    middle=st.lists(st.integers(1, 5), max_size=2),
    size_in=st.integers(1, 9),
    size_out=st.integers(1, 9),
    bias=st.booleans(),
    frozen=st.sampled_from(["", "weight", "bias"]),
    double=st.booleans(),
    seed=seeds,
)
def test_linear(batch, middle, size_in, size_out, bias, frozen, double, seed):
    assume(bias or frozen == "")
    torch.manual_seed(seed)
    dtype = torch.float64 if double else torch.float32
    layer = nn.Linear(size_in, size_out, bias=bias, dtype=dtype)
    if frozen:
        getattr(layer, frozen).requires_grad_(False)
    inputs = torch.randn(batch, *middle, size_in, dtype=dtype)
    target = torch.randn(batch, *middle, size_out, dtype=dtype)
    losses = lambda: (layer(inputs) - target).pow(2).flatten(1).sum(1)  # noqa: E731
    assert_exact(layer, losses, 1e-10 if double else 1e-5)


@many
@given(
    batch=st.integers(1, 5),
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=2),
    rows=st.integers(2, 40),
    padding=st.sampled_from([None, 0, 1]),
    expanded=st.booleans(),
    seed=seeds,
)
def test_embedding_with_duplicates_padding_and_expanded_ids(
    batch, shape, rows, padding, expanded, seed
):
    torch.manual_seed(seed)
    layer = nn.Embedding(rows, 3, padding_idx=padding, dtype=torch.float64)
    ids = torch.randint(0, min(rows, 6), (1 if expanded else batch, *shape))
    ids = ids.expand(batch, *shape)
    target = torch.randn(batch, *shape, 3, dtype=torch.float64)
    losses = lambda: (layer(ids) - target).pow(2).flatten(1).sum(1)  # noqa: E731
    if padding is not None and bool((ids == padding).flatten(1).all(1).any()):
        ids = ids.clone()
        ids.view(batch, -1)[:, 0] = 1 - padding  # an example of padding alone has no gradient
    assert_exact(layer, losses, 1e-10)


@some
@given(
    batch=st.integers(1, 4),
    middle=st.lists(st.integers(1, 4), max_size=2),
    shape=st.lists(st.integers(2, 5), min_size=1, max_size=2),
    bias=st.booleans(),
    seed=seeds,
)
def test_layer_norm(batch, middle, shape, bias, seed):
    torch.manual_seed(seed)
    layer = nn.LayerNorm(shape, bias=bias, dtype=torch.float64)
    inputs = torch.randn(batch, *middle, *shape, dtype=torch.float64)
    losses = lambda: (layer(inputs) - inputs.flip(0) - 1).pow(2).flatten(1).sum(1)  # noqa: E731
    assert_exact(layer, losses, 1e-10)


@some
@given(
    batch=st.integers(1, 4),
    length=st.integers(2, 9),
    size=st.integers(1, 4),
    reverse=st.booleans(),
    masked=st.booleans(),
    seed=seeds,
)
def test_recurrence_with_gaps_in_its_mask(batch, length, size, reverse, masked, seed):
    torch.manual_seed(seed)
    layer = LstmRecurrence(size).double()
    x_proj = torch.randn(batch, length, 4 * size, dtype=torch.float64)
    mask = torch.rand(batch, length) < 0.7 if masked else None
    if mask is not None:
        mask[:, 0] = mask[:, -1] = True
    losses = lambda: (layer(x_proj, mask, reverse) - 1).pow(2).flatten(1).sum(1)  # noqa: E731
    assert_exact(layer, losses, 1e-10)


@pytest.mark.parametrize("kind", ["cnn", "lstm", "transformer"])
@some
@given(
    size=st.integers(1, 6),
    length=st.integers(2, 8),
    characters=st.booleans(),
    frozen=st.booleans(),
    dropout=st.sampled_from([0.0, 0.3]),
    double=st.booleans(),
    seed=seeds,
)
def test_own_classifiers(kind, size, length, characters, frozen, dropout, double, seed):
    torch.manual_seed(seed)
    model = own(
        kind,
        layers=2,
        char_embeddings=characters,
        freeze_embeddings=frozen,
        embedding_dropout=dropout,
        encoder_dropout=dropout,
        head_dropout=dropout,
    )
    model.to(torch.float64 if double else torch.float32)
    batch = random_batch(size, length, seed)
    assert_exact(model, lambda: example_losses(model, batch), 1e-10 if double else 1e-5)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "electra"])
def test_hugging_face_encoders_with_broadcast_positions(kind, attention):
    torch.manual_seed(0)
    model = pretrained_like(kind, attention).train()
    for size, length in ((5, 7), (1, 3), (6, 6)):
        batch = random_batch(size, length, seed=size)
        assert_exact(model, lambda batch=batch: example_losses(model, batch))


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "electra"])
@some
@given(
    size=st.integers(1, 5),
    length=st.integers(1, 8),
    dropout=st.sampled_from([0.0, 0.2]),
    frozen=st.sampled_from(["", "embeddings", "layer.0", "LayerNorm"]),
    double=st.booleans(),
    seed=seeds,
)
def test_hugging_face_encoders(kind, size, length, dropout, frozen, double, seed):
    torch.manual_seed(seed)
    model = pretrained_like(kind, dropout=dropout).train()
    model.to(torch.float64 if double else torch.float32)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not frozen or frozen not in name)
    batch = random_batch(size, length, seed)
    assert_exact(model, lambda: example_losses(model, batch), 1e-10 if double else 1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_frozen_parts_of_an_encoder(kind):
    torch.manual_seed(0)
    model = pretrained_like(kind)
    frozen = ("embeddings", "layer.0.attention", "LayerNorm.bias", "layer.1.output.dense.weight")
    for name, parameter in model.named_parameters():
        if any(part in name for part in frozen):
            parameter.requires_grad_(False)
    assert_exact(model, lambda: example_losses(model, random_batch(4, 6, seed=1)))


@pytest.mark.parametrize("trained", ["recurrence", "projection", "head"])
def test_one_part_of_an_lstm_behind_frozen_layers(trained):
    torch.manual_seed(0)
    model = own("lstm")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained in name)
    assert_exact(model, lambda: example_losses(model, random_batch(4, 6, seed=1)))


def test_sentences_of_one_word_leave_the_recurrence_alone():
    model = own("lstm")
    model.zero_grad()
    with PerExampleClipper(model, 1.0) as clipper:
        clipper.backward(example_losses(model, random_batch(3, 1, seed=0)))
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert not grads["encoder.layers.0.forward_recurrence.weight"].any()
    assert grads["encoder.layers.0.forward_projection.weight"].any()


@some
@given(size=st.integers(2, 9), cut=st.integers(0, 9), seed=seeds)
def test_chunks_add_up_to_the_whole_batch(size, cut, seed):
    torch.manual_seed(seed)
    model = own("transformer").double()
    batch = random_batch(size, 5, seed)
    cut = min(cut, size)
    parts = [batch.part(slice(0, cut)), batch.part(slice(cut, size))]
    chunks = [lambda p=p: example_losses(model, p) for p in parts if len(p.labels)]
    norms, total = clipped(PerExampleClipper, model, 0.5, lambda: example_losses(model, batch))
    found_norms, found_total = clipped(PerExampleClipper, model, 0.5, *chunks)
    torch.testing.assert_close(found_norms, norms)
    torch.testing.assert_close(found_total, total)


def test_an_empty_batch_adds_nothing():
    model = nn.Linear(2, 2)
    norms, total = clipped(PerExampleClipper, model, 1.0, lambda: torch.zeros(0))
    assert norms.shape == (0,)
    assert total.tolist() == [0.0] * 6


def test_without_clipping_it_is_the_gradient_of_the_summed_loss():
    torch.manual_seed(0)
    model = pretrained_like("bert")
    batch = random_batch(5, 6, seed=0)
    example_losses(model, batch).sum().backward()
    plain = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    _, total = clipped(PerExampleClipper, model, 1e6, lambda: example_losses(model, batch))
    torch.testing.assert_close(total, plain, rtol=1e-5, atol=1e-6)


def test_under_autocast_the_sum_is_that_of_the_clipped_half_precision_gradients():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    inputs, labels = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])

    def losses():
        with torch.autocast("cpu", torch.bfloat16):
            logits = layer(inputs)
        return F.cross_entropy(logits.float(), labels, reduction="none")

    assert_exact(layer, losses, 2e-2)
