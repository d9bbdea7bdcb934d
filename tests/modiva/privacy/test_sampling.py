"""Poisson batches hold each example with the rate, noise has its variance on every element."""

import itertools

import pytest
import torch
from scipy import stats

from modiva.errors import ModivaError
from modiva.privacy import add_noise_, poisson_batches

from .models import own, pretrained_like


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_batch_sizes_are_binomial_and_examples_equally_frequent():
    batches = list(poisson_batches(50, 0.1, 4000, generator()))
    sizes = torch.tensor([len(batch) for batch in batches]).double()
    assert float(sizes.mean()) == pytest.approx(5, abs=0.15)
    assert float(sizes.var()) == pytest.approx(50 * 0.1 * 0.9, rel=0.1)
    counts = torch.bincount(torch.cat(batches), minlength=50).double()
    expected = 4000 * 0.1
    chi_squared = float(((counts - expected) ** 2 / (expected * 0.9)).sum())
    assert stats.chi2.sf(chi_squared, 50) > 1e-4
    assert all(len(set(batch.tolist())) == len(batch) for batch in batches)


def test_examples_enter_independently_and_empty_batches_are_kept():
    batches = list(poisson_batches(3, 0.2, 4000, generator()))
    assert len(batches) == 4000
    empty = sum(len(batch) == 0 for batch in batches) / 4000
    assert empty == pytest.approx(0.8**3, abs=0.03)
    both = sum({0, 1} <= set(batch.tolist()) for batch in batches) / 4000
    assert both == pytest.approx(0.04, abs=0.012)


def test_rate_one_takes_everything():
    assert next(poisson_batches(4, 1.0, 1, generator())).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("model", [own("lstm", char_embeddings=True), pretrained_like("bert")])
def test_noise_has_its_variance_on_every_trainable_element(model):
    std, draws = 0.7, 400
    gradients = [torch.zeros_like(parameter) for parameter in model.parameters()]
    noise = generator()
    sums = [torch.zeros_like(gradient) for gradient in gradients]
    for _ in range(draws):
        torch._foreach_zero_(gradients)
        add_noise_(gradients, std, noise)
        for total, gradient in zip(sums, gradients, strict=True):
            total.add_(gradient**2)
    scaled = torch.cat([total.flatten() for total in sums]) / std**2  # chi-squared with `draws`
    count = len(scaled)
    low, high = (stats.chi2.ppf(p, draws) for p in (1e-4 / count, 1 - 1e-4 / count))
    assert low < float(scaled.min()) <= float(scaled.max()) < high
    assert float(scaled.mean()) == pytest.approx(draws, rel=6 * (2 / draws / count) ** 0.5)


def test_noise_is_added_to_the_gradient_and_never_dealt_out_twice():
    gradients = [torch.full((size,), 100.0) for size in (3, 300_000, 5, 1)]
    add_noise_(gradients, 1.0, generator())
    values = torch.cat([gradient - 100 for gradient in gradients])
    assert float(values.mean()) == pytest.approx(0, abs=0.02)
    assert float(values.std()) == pytest.approx(1, abs=0.01)
    correlation = float((values[1:] * values[:-1]).mean())
    assert correlation == pytest.approx(0, abs=0.02)
    pieces = [values[start : start + 1000] for start in range(0, 300_000, 1000)]
    assert not any(torch.equal(a, b) for a, b in itertools.pairwise(pieces))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_noise_keeps_the_dtype_and_a_gradient_that_is_not_contiguous(dtype):
    gradient = torch.zeros(50, 40, dtype=dtype).t()
    add_noise_([gradient], 2.0, generator())
    assert gradient.dtype == dtype
    assert float(gradient.std()) == pytest.approx(2, rel=0.1)


def test_no_noise_leaves_the_gradient_and_bad_noise_is_refused():
    gradient = torch.ones(2)
    add_noise_([gradient], 0.0, generator())
    assert gradient.tolist() == [1, 1]
    for std in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ModivaError, match="std"):
            add_noise_([gradient], std, generator())
