"""The seam for clippers: methods by name, one's own, and what the plan refuses of them."""

from dataclasses import replace

import pytest
import torch

from modiva.condition import Condition, Privacy
from modiva.errors import ModivaError
from modiva.privacy import PrivacyPlan
from modiva.privacy.clipper import BaseClipper
from modiva.privacy.engine import PerExampleClipper
from modiva.privacy.reference import ReferenceClipper
from modiva.training import prepare, resolve
from modiva.training.config import PrivacySettings, TrainConfig
from modiva.training.loop import train
from modiva.training.stack import train_stack

from .conftest import make_classifier, weights

CONFIG = TrainConfig(
    epochs=3,
    learning_rate=1e-2,
    device="cpu",
    privacy=PrivacySettings(noise_multiplier=0.5, clip_norm=0.5, batch_size=32),
)


class UnitClipper(BaseClipper):
    """Every example's gradient is scaled to the clip norm exactly, whatever its length."""

    def backward(self, losses):
        for loss in losses:
            found = torch.autograd.grad(loss, self.parameters, retain_graph=True)
            norm = torch.cat([gradient.flatten() for gradient in found]).norm()
            for parameter, gradient in zip(self.parameters, found, strict=True):
                scaled = gradient * self.clip_norm / norm
                parameter.grad = scaled if parameter.grad is None else parameter.grad + scaled
        self.count(losses, 0.0)


@pytest.mark.parametrize("clipping", ["threshold", "automatic"])
@pytest.mark.parametrize("architecture", ["cnn", "lstm", "transformer"])
def test_one_sentence_at_a_time_gives_the_weights_of_exact_dp_sgd(architecture, clipping, splits):
    found, results = [], []
    for method in ("dp", "loop"):
        classifier = make_classifier(splits, architecture)
        privacy = replace(CONFIG.privacy, method=method, clipping=clipping)
        results.append(train(classifier, splits, replace(CONFIG, privacy=privacy), progress=False))
        found.append(weights(classifier))
    before = weights(make_classifier(splits, architecture))
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-3, atol=2e-5)
    assert any(not torch.equal(before[name], value) for name, value in found[0].items())
    exact, loop = (result.plan for result in results)
    assert (exact["ran"].pop("clipper"), loop["ran"].pop("clipper")) == (
        "PerExampleClipper",
        "ReferenceClipper",
    )
    assert exact == loop  # the same promise, the same batches, the same share clipped


@pytest.mark.parametrize("method", ["dp", "edp", "loop"])
def test_every_method_of_a_condition_trains(method, splits):
    privacy = Privacy(noise_multiplier=1.0, method=method)
    _, config = resolve(Condition(target="cnn", epochs=1, privacy=privacy), device="cpu")
    assert config.privacy.method == method
    result = train(make_classifier(splits), splits, config, progress=False)
    assert result.plan["sensitivity"] == (2 if method == "edp" else 1)


def test_ones_own_clipper_is_trained_with_and_named(splits):
    def make(model, clipping):
        return UnitClipper(model, clipping.clip_norm)

    classifiers = [make_classifier(splits) for _ in range(2)]
    first = train(classifiers[0], splits, CONFIG, progress=False, clipper=make)
    (second,) = train_stack(
        [classifiers[1]], [splits], CONFIG, [CONFIG.seed], progress=False, clipper=make
    )
    assert first.plan == second.plan
    assert first.plan["ran"]["clipper"] == "UnitClipper"
    assert PrivacyPlan.read(first.plan).epsilon() == pytest.approx(first.epsilon)
    one, other = map(weights, classifiers)
    assert all(torch.equal(one[name], other[name]) for name in one)
    plain = make_classifier(splits)
    train(plain, splits, CONFIG, progress=False)
    assert any(not torch.equal(one[name], value) for name, value in weights(plain).items())


def test_prepared_targets_are_trained_with_ones_own_clipper():
    condition = Condition(
        size="small", sentences=150, epochs=1, privacy=Privacy(noise_multiplier=1.0, clip_norm=0.3)
    )
    calls = []

    def make(model, clipping):
        calls.append((clipping.clip_norm, clipping.automatic, clipping.expected_batch_size))
        return ReferenceClipper(model, clipping.clip_norm)

    ((target, _),) = prepare(condition, device="cpu").train([3], clipper=make)
    assert target.result.plan["ran"]["clipper"] == "ReferenceClipper"
    assert calls == [(0.3, False, 150)]


class TwiceTheClipNorm(PerExampleClipper):
    def __init__(self, model, clipping):
        super().__init__(model, 2 * clipping.clip_norm)


class Growing(PerExampleClipper):
    """The sensitivity changes in the second batch."""

    def __init__(self, model, clipping):
        super().__init__(model, clipping.clip_norm)

    def parts(self, examples):
        yield from super().parts(examples)
        self.sensitivity = 2


class HalfAClipNorm(ReferenceClipper):
    sensitivity = 0.5

    def __init__(self, model, clipping):
        super().__init__(model, clipping.clip_norm)


@pytest.mark.parametrize(
    ("clipper", "refused"),
    [
        (TwiceTheClipNorm, r"has clip_norm=0\.5, and clip_norm=1\.0 is what runs"),
        (Growing, "has sensitivity=1, and sensitivity=2 is what runs"),
        (HalfAClipNorm, r"sensitivity=0\.5: must be"),
    ],
)
def test_a_clipper_that_the_plan_does_not_promise_is_refused(clipper, refused, splits):
    classifier = make_classifier(splits)
    with pytest.raises(ModivaError, match=refused):
        train(classifier, splits, CONFIG, progress=False, clipper=clipper)
    # No hook is left, and everything can be trained again.
    train(classifier, splits, CONFIG, progress=False)


def test_a_clipper_without_privacy_is_refused(splits):
    config = replace(CONFIG, privacy=None)
    classifier = make_classifier(splits)
    with pytest.raises(ModivaError, match="without privacy"):
        train(classifier, splits, config, progress=False, clipper=UnitClipper)
    with pytest.raises(ModivaError, match="without privacy"):
        train_stack([classifier], [splits], config, [0], progress=False, clipper=UnitClipper)


@pytest.mark.parametrize("clipping", ["threshold", "automatic"])
def test_a_small_clip_norm_clips_everything_and_a_large_one_nothing(clipping, splits):
    shares = []
    for clip_norm in (1e-6, 1e6):
        privacy = replace(CONFIG.privacy, clip_norm=clip_norm, clipping=clipping)
        config = replace(CONFIG, epochs=1, privacy=privacy)
        result = train(make_classifier(splits), splits, config, progress=False)
        shares.append(result.plan["ran"]["clipped_fraction"])
    assert shares == [1, 0]
