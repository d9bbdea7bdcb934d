import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from modiva.condition import Condition, Privacy
from modiva.errors import ModivaError
from modiva.privacy import Microbatches, PrivacyPlan
from modiva.privacy.microbatch import MicrobatchClipper
from modiva.training import resolve
from modiva.training.batches import encode_split
from modiva.training.config import PrivacySettings, TrainConfig
from modiva.training.loop import train
from modiva.training.private import PrivateSteps

from .conftest import make_classifier, make_splits, weights

PRIVACY = PrivacySettings(
    noise_multiplier=1.0,
    batch_size=32,
    noise_decay=0.9,
    method="edp",
    microbatches=Microbatches(size=8),
)
CONFIG = TrainConfig(epochs=3, learning_rate=1e-2, device="cpu", privacy=PRIVACY)


class Placed(MicrobatchClipper):
    """Micro-batches of given examples in place of drawn ones."""

    def __init__(self, model, clipping, places):
        per_layer = clipping.microbatches.per_layer
        count = int(places.max()) + 1
        super().__init__(model, clipping.clip_norm, per_layer, clipping.automatic, count)
        self.places = places

    def assign(self, examples):
        return self.places[:examples]


def edp_steps(splits, clipper=None, **privacy):
    classifier = make_classifier(splits)
    config = replace(CONFIG, privacy=replace(PRIVACY, **privacy))
    split = encode_split(classifier, splits.train)
    steps = PrivateSteps(classifier.model, split, config, clipper)
    steps.optimizer.step = lambda: None
    return steps


def gradient(steps):
    return torch.cat([parameter.grad.flatten() for parameter in steps.parameters])


def plain_gradient(steps, indices):
    ids, mask, labels = steps.losses.split.take(indices)
    loss = F.cross_entropy(steps.losses.model(input_ids=ids, attention_mask=mask).logits, labels)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, steps.parameters)])


def test_a_run_says_what_it_promised_what_ran_and_what_one_sentence_can_move(splits):
    result = train(make_classifier(splits), splits, CONFIG, progress=False)
    plan = PrivacyPlan.read(result.plan)
    assert result.epsilon == pytest.approx(plan.epsilon())
    assert plan.sensitivity == result.plan["sensitivity"] == 2
    assert plan.effective_noise_multipliers[0] == plan.noise_multipliers[0] / 2 == 0.5
    assert result.epsilon > result.plan["epsilon_at_sensitivity_1"]
    ran = result.plan["ran"]
    assert ran["steps"] == plan.steps == 12
    assert ran["noise_std"] == pytest.approx({"largest": 1.0, "smallest": 0.81})
    assert ran["microbatches"]["count"] == 4
    assert 0 <= ran["clipped_fraction"] <= 1


def test_the_same_seed_gives_bit_identical_weights(splits):
    runs = []
    for seed in (4, 4, 5):
        classifier = make_classifier(splits, "lstm", head_dropout=0.3)
        train(classifier, splits, replace(CONFIG, epochs=1, seed=seed), progress=False)
        runs.append(weights(classifier))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not all(torch.equal(runs[0][name], runs[2][name]) for name in runs[0])


def test_without_noise_and_clipping_one_microbatch_gives_the_plain_gradient(splits):
    steps = edp_steps(
        splits,
        noise_multiplier=0.0,
        clip_norm=1e6,
        clipping="threshold",
        microbatches=Microbatches(size=32),
    )
    steps.losses.tokens = 64  # several chunks a micro-batch
    indices = torch.arange(0, 120, 4)
    expected = plain_gradient(steps, indices)
    steps._step(indices)
    assert torch.allclose(gradient(steps), expected, rtol=1e-4, atol=1e-7)


def test_without_noise_and_clipping_a_microbatch_a_sentence_gives_the_plain_gradient(splits):
    steps = edp_steps(
        splits,
        clipper=lambda model, clipping: Placed(model, clipping, torch.arange(32)),
        noise_multiplier=0.0,
        clip_norm=1e6,
        clipping="threshold",
        microbatches=Microbatches(size=1),
    )
    indices = torch.arange(32)
    expected = plain_gradient(steps, indices)
    steps._step(indices)
    assert steps.results()["plan"]["ran"]["microbatches"]["count"] == 32
    assert torch.allclose(gradient(steps), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("per_layer", [True, False])
def test_a_sentence_moves_the_sum_by_at_most_two_clip_norms(splits, per_layer):
    indices = torch.arange(32)
    places = torch.randint(4, (32,), generator=torch.Generator().manual_seed(3))

    def total(kept):
        steps = edp_steps(
            splits,
            clipper=lambda model, clipping: Placed(model, clipping, places[kept]),
            clip_norm=0.05,
            microbatches=Microbatches(8, per_layer),
        )
        steps.clip(indices[kept])
        return gradient(steps)

    everything = total(indices >= 0)
    for removed in range(0, 32, 5):
        moved = float((everything - total(indices != removed)).norm())
        assert 0 < moved <= 0.1 * (1 + 1e-5)


def test_an_empty_batch_is_noise_alone_over_the_number_of_microbatches(splits):
    steps = edp_steps(splits, clip_norm=0.5)
    assert steps._step(torch.empty(0, dtype=torch.long)) == 0.0
    noise = gradient(steps) * 4
    assert float(noise.std()) == pytest.approx(0.5, abs=0.5 * 5 / math.sqrt(2 * len(noise)))
    assert steps.results()["plan"]["ran"]["microbatches"]["empty"] == 4


def test_a_plan_for_per_example_clipping_does_not_run_as_edp(splits):
    steps = edp_steps(splits)
    steps.run.privacy = replace(steps.run.privacy, sensitivity=1)
    with pytest.raises(ModivaError, match="sensitivity=2 is what runs"):
        steps.epoch()


def test_it_learns_with_little_noise():
    splits = make_splits(400)
    privacy = replace(PRIVACY, noise_multiplier=0.05, batch_size=128, noise_decay=1.0)
    config = replace(CONFIG, epochs=20, learning_rate=2e-2, privacy=privacy)
    result = train(make_classifier(splits), splits, config, progress=False)
    assert result.test_accuracy > 0.85


def test_the_method_by_name_trains_to_its_epsilon():
    splits = make_splits(300)
    classifier = make_classifier(splits)
    privacy = Privacy(epsilon=8.0, method="edp")
    _, config = resolve(Condition(size="small", epochs=4, privacy=privacy), device="cpu")
    result = train(classifier, splits, config, progress=False)
    assert 7.9 < result.epsilon <= 8
    assert result.plan["sensitivity"] == 2


@pytest.mark.parametrize("size", [0, -3])
def test_microbatches_of_no_sentence_are_refused(size):
    with pytest.raises(ModivaError, match="micro-batch"):
        Microbatches(size=size)


@pytest.mark.parametrize("method", ["dp", "loop"])
def test_microbatches_of_a_method_that_has_none_are_refused(method):
    with pytest.raises(ModivaError, match="method='edp'"):
        replace(PRIVACY, method=method)
