"""Private training with a bug that its plan cannot see: the ranks of planted secrets show it."""

import pytest
import torch

from attacks.registry import audited_attack
from modiva.condition import Condition, Privacy
from modiva.measure import summarise
from modiva.privacy.clipper import BaseClipper
from modiva.privacy.engine import PerExampleClipper
from modiva.studies.steps.attack import attack_target, score_target
from modiva.studies.steps.rows import plain
from modiva.training import prepare


def per_example(model, clipping):
    return PerExampleClipper(model, clipping.clip_norm)


class OfTheBatch(BaseClipper):
    """Clips the mean gradient of the batch, and takes it as often as the batch has sentences."""

    def backward(self, losses):
        gradients = torch.autograd.grad(losses.mean(), self.parameters)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        scale = len(losses) * min(1.0, self.clip_norm / float(norm))
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            added = scale * gradient
            parameter.grad = added if parameter.grad is None else parameter.grad + added


class WithoutNoise(PerExampleClipper):
    """Scales clipped gradients so far up that the promised noise is none beside them."""

    def finish(self):
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad *= 1e6


def of_the_batch(model, clipping):
    return OfTheBatch(model, clipping.clip_norm)


def without_noise(model, clipping):
    return WithoutNoise(model, clipping.clip_norm)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clipper", "models", "violated"),
    [(per_example, 8, False), (of_the_batch, 20, True), (without_noise, 8, True)],
)
def test_ranks_refute_the_claim_of_a_training_with_a_bug(clipper, models, violated):
    condition = Condition(
        target="cnn",
        size="small",
        patterns=("pin",),
        repetitions=(10,),
        sentences=300,
        batch_size=100,
        privacy=Privacy(noise_multiplier=32.0),
    )
    prepared = prepare(condition)
    attack = audited_attack("exhaustive", "loss")
    rows = []
    for target, ledger in prepared.train(range(models), clipper=clipper):
        found = attack_target(attack, prepared, target)
        rows += plain(score_target(prepared, target, ledger, found))
    groups = summarise(rows)
    (planted,) = [group for group in groups if group["planted"]]
    (controls,) = [group for group in groups if not group["planted"]]
    assert planted.violated == violated
    assert controls.audit_p > 0.01
    if violated:
        assert planted.audit_p < 1e-3
