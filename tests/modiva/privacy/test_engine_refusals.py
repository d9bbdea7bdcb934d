"""What cannot be clipped exactly is refused by name, with the remedy, before it does harm."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modiva.errors import ModivaError
from modiva.privacy.engine import PerExampleClipper
from modiva.privacy.reference import ReferenceClipper
from modiva.privacy.rules.registry import Call, Contribution, Rule, accumulate, register_rule

from .models import assert_exact, example_losses, own, random_batch


class Around(nn.Module):
    """Holds layers under the names given and runs `run(self, inputs)`."""

    def __init__(self, run, **layers: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.run(self, inputs)


class Scale(nn.Module):
    """A layer that no rule knows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.weight


def clip_once(model: nn.Module, inputs: Tensor, engine=PerExampleClipper) -> Tensor:
    with engine(model, 1.0) as clipper:
        return clipper.backward(model(inputs).flatten(1).pow(2).sum(1))


def tied() -> nn.Module:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.LSTM(3, 3)), r"0 \(LSTM\).*LstmRecurrence"),
        (nn.GRU(3, 3), r"the model \(GRU\).*LstmRecurrence"),
        (nn.MultiheadAttention(4, 2), r"MultiheadAttention.*nn.Linear layers for query"),
        (nn.Conv1d(3, 3, 2), "shifted windows"),
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), r"1 \(BatchNorm1d\).*LayerNorm"),
        (Scale(), r"the model \(Scale\) holds trainable weight.*freeze it, or register a rule"),
        (tied(), r"1 \(Linear\) shares its weight with 0 \(Embedding\)"),
        (nn.Embedding(5, 3, max_norm=1.0), "max_norm=None"),
        (nn.Embedding(5, 3, sparse=True), "sparse=False"),
        (nn.Embedding(5, 3, scale_grad_by_freq=True), "scale_grad_by_freq"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), "exact type"),
        (nn.Tanh(), "no trainable parameter"),
    ],
)
def test_refused_before_the_first_step(model, message):
    with pytest.raises(ModivaError, match=message):
        PerExampleClipper(model, 1.0)
    # A refused model is left as it was.
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("clip_norm", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("engine", [PerExampleClipper, ReferenceClipper])
def test_a_clip_norm_is_above_zero(engine, clip_norm):
    with pytest.raises(ModivaError, match="clip_norm"):
        engine(nn.Linear(2, 2), clip_norm)


def test_a_layer_called_twice():
    model = Around(lambda m, x: m.layer(m.layer(x)), layer=nn.Linear(3, 3))
    with pytest.raises(ModivaError, match=r"layer \(Linear\) is called twice"):
        clip_once(model, torch.randn(4, 3))


def test_a_parameter_used_outside_its_layer():
    model = Around(lambda m, x: F.linear(m.words(x), m.words.weight), words=nn.Embedding(5, 3))
    with pytest.raises(ModivaError, match=r"words \(Embedding\) is used outside that layer"):
        clip_once(model, torch.randint(0, 5, (4, 2)))


def test_reading_a_dtype_or_a_frozen_weight_is_no_use():
    def run(m: nn.Module, x: Tensor) -> Tensor:
        return m.layer(x.to(m.layer.weight.dtype)) @ m.frozen.weight

    model = Around(run, layer=nn.Linear(3, 3), frozen=nn.Linear(3, 3).requires_grad_(False))
    assert_exact(model, lambda: model(torch.ones(4, 3)).pow(2).sum(1))


@pytest.mark.parametrize("engine", [PerExampleClipper, ReferenceClipper])
def test_a_trainable_layer_that_takes_no_part(engine):
    model = Around(lambda m, x: m.used(x), used=nn.Linear(3, 3), idle=nn.Linear(3, 3))
    with pytest.raises(ModivaError, match=r"idle.* is trainable but took no part"):
        clip_once(model, torch.randn(4, 3), engine)
    assert model.used.weight.grad is None


def test_a_layer_whose_rows_are_not_examples():
    model = Around(lambda m, x: x + m.places(torch.arange(x.shape[1])), places=nn.Embedding(6, 3))
    with pytest.raises(ModivaError, match="first dimension of 6 where there are 4 losses"):
        clip_once(model, torch.randn(4, 6, 3))


def test_a_layer_whose_rows_are_by_chance_as_many_as_the_examples():
    model = Around(lambda m, x: x + m.places(torch.arange(x.shape[1])), places=nn.Embedding(6, 3))
    with pytest.raises(ModivaError, match="depends on others of its batch"):
        clip_once(model, torch.randn(6, 6, 3))


def test_examples_that_depend_on_each_other():
    model = Around(lambda m, x: m.layer(x) - x.mean(0), layer=nn.Linear(3, 3))
    clip_once(model, torch.randn(4, 3))  # no gradient flows through the mean of the inputs
    mixed = Around(
        lambda m, x: m.last((lambda y: y - y.mean(0))(m.layer(x))),
        layer=nn.Linear(3, 3),
        last=nn.Linear(3, 2),
    )
    with pytest.raises(
        ModivaError, match=r"layer \(Linear\) the loss of one example depends on others"
    ):
        clip_once(mixed, torch.randn(4, 3))


def test_examples_that_depend_on_each_other_beside_empty_places():
    model = Around(lambda m, x: (lambda y: y - y.mean(0))(m.layer(x)), layer=nn.Linear(3, 3))
    inputs, empty = torch.randn(4, 3), torch.tensor([0.0, 0, 1, 1])
    with PerExampleClipper(model, 1.0) as clipper:
        clipper.backward(model(inputs).pow(2).sum(1) * 0)  # empty places alone show nothing
        with pytest.raises(ModivaError, match="depends on others of its batch"):
            clipper.backward(model(inputs).pow(2).sum(1) * empty)


def test_an_input_changed_in_place_after_its_layer():
    def run(m: nn.Module, x: Tensor) -> Tensor:
        x = x.clone()
        y = m.layer(x)
        x.mul_(2)
        return y

    with pytest.raises(ModivaError, match="changed in place"):
        clip_once(Around(run, layer=nn.Linear(3, 3)), torch.randn(4, 3))


def test_an_output_changed_in_place_is_exact():
    model = Around(lambda m, x: m.b(m.a(x).relu_()), a=nn.Linear(3, 3), b=nn.Linear(3, 2))
    inputs = torch.randn(4, 3) + 1
    assert_exact(model, lambda: model(inputs).pow(2).sum(1) + 1)


@pytest.mark.parametrize("engine", [PerExampleClipper, ReferenceClipper])
def test_losses_are_one_an_example_and_differentiable(engine):
    model = nn.Linear(3, 3)
    with engine(model, 1.0) as clipper:
        with pytest.raises(ModivaError, match='reduction="none"'):
            clipper.backward(model(torch.randn(4, 3)).sum())
        with torch.no_grad():
            losses = model(torch.randn(4, 3)).sum(1)
        with pytest.raises(ModivaError, match="gradients enabled"):
            clipper.backward(losses)


@pytest.mark.parametrize("engine", [PerExampleClipper, ReferenceClipper])
def test_a_gradient_that_is_not_finite(engine):
    model = nn.Linear(3, 3)
    inputs = torch.ones(4, 3)
    inputs[2] = 1e30
    with pytest.raises(ModivaError, match=r"example 2 .* not finite"):
        clip_once(model, inputs, engine)
    assert model.weight.grad is None


def test_a_backward_that_is_not_the_clippers():
    model = nn.Linear(3, 3)
    with PerExampleClipper(model, 1.0), pytest.raises(ModivaError, match="call PerExample"):
        model(torch.randn(4, 3)).sum().backward()


def test_losses_of_two_forward_passes():
    model = nn.Linear(3, 3)
    with PerExampleClipper(model, 1.0) as clipper:
        losses = [model(torch.randn(4, 3)).sum(1) for _ in range(2)]
        with pytest.raises(ModivaError, match="more than the last forward pass"):
            clipper.backward(losses[0] + losses[1])


def test_an_abandoned_forward_pass_and_evaluation_leave_nothing_behind():
    model = own("cnn")
    batch = random_batch(4, 5, seed=0)
    with PerExampleClipper(model, 1.0) as clipper:
        expected = clipper.backward(example_losses(model, batch))
        example_losses(model, batch)
        with torch.no_grad():
            example_losses(model, random_batch(3, 4, seed=1))
        torch.testing.assert_close(clipper.backward(example_losses(model, batch)), expected)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_registered_rule_makes_a_layer_exact():
    def contribute(call: Call) -> Contribution:
        gradients = call.gradient * call.args[0]  # (B, 3)
        weight = call.trainable["weight"]
        return Contribution(gradients.pow(2).sum(1), lambda w: accumulate(weight, w @ gradients))

    class Known(Scale):
        pass

    register_rule(Known, Rule(contribute, parameters=("weight",)))
    model = nn.Sequential(Known(), nn.Linear(3, 2))
    inputs = torch.randn(5, 3)
    assert_exact(model, lambda: model(inputs).pow(2).sum(1))
    with pytest.raises(ModivaError, match="Scale"):
        PerExampleClipper(Scale(), 1.0)
