import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from modiva.classifiers import Classifier, build
from modiva.classifiers.checkpoint import save
from modiva.condition import Condition, Privacy
from modiva.errors import ModivaError
from modiva.privacy import PrivacyPlan
from modiva.privacy.engine import PerExampleClipper
from modiva.training import resolve
from modiva.training.batches import encode_split
from modiva.training.config import PrivacySettings, TrainConfig
from modiva.training.evaluate import evaluate
from modiva.training.loop import train
from modiva.training.losses import chunks_by_length
from modiva.training.private import PrivateSteps
from modiva.training.private_run import make_plan

from .conftest import WORDS, make_classifier, make_splits, weights

CONFIG = TrainConfig(
    epochs=3,
    learning_rate=1e-2,
    device="cpu",
    privacy=PrivacySettings(noise_multiplier=1.0, batch_size=32),
)


def test_a_private_run_says_what_it_promised_and_what_ran(splits):
    result = train(make_classifier(splits), splits, CONFIG, progress=False)
    assert result.delta == 1e-5
    assert result.epsilon == pytest.approx(PrivacyPlan.read(result.plan).epsilon())
    assert result.plan["sampling_rate"] == pytest.approx(32 / 120)
    ran = result.plan["ran"]
    assert ran["steps"] == result.steps == result.plan["steps"] == 3 * 4
    assert 0 < ran["batch_sizes"]["mean"] < 64
    assert 0 <= ran["clipped_fraction"] <= 1


def test_the_same_seed_gives_bit_identical_private_weights(splits):
    runs = []
    for _ in range(2):
        classifier = make_classifier(splits, "lstm", head_dropout=0.3)
        train(classifier, splits, replace(CONFIG, epochs=1, seed=4), progress=False)
        runs.append(weights(classifier))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_private_training_learns_with_little_noise():
    splits = make_splits(400)
    privacy = PrivacySettings(noise_multiplier=0.3, batch_size=128)
    config = replace(CONFIG, epochs=20, learning_rate=2e-2, privacy=privacy)
    result = train(make_classifier(splits), splits, config, progress=False)
    assert result.test_accuracy > 0.85


@pytest.mark.parametrize("clipping", ["automatic", "threshold"])
@pytest.mark.parametrize("architecture", ["cnn", "lstm", "transformer"])
def test_a_step_without_noise_is_the_oracles_sum_over_the_expected_size(
    architecture, clipping, splits
):
    classifier = make_classifier(splits, architecture)
    privacy = PrivacySettings(noise_multiplier=0.0, clip_norm=0.5, clipping=clipping)
    split = encode_split(classifier, splits.train)
    indices = torch.arange(0, 120, 3)
    gradients = []
    for method in ("dp", "loop"):
        config = replace(CONFIG, privacy=replace(privacy, method=method))
        steps = PrivateSteps(classifier.model, split, config)
        steps.losses.tokens = 64  # several chunks a batch
        steps.optimizer.step = lambda: None
        steps._step(indices)
        gradients.append([parameter.grad.clone() for parameter in steps.parameters])
        steps.close()
    for ours, oracle in zip(*gradients, strict=True):
        assert torch.allclose(ours, oracle, rtol=1e-4, atol=1e-7)


def test_a_step_without_noise_and_clipping_is_that_of_plain_training(splits):
    classifier = make_classifier(splits, "lstm")
    split = encode_split(classifier, splits.train)
    privacy = PrivacySettings(
        noise_multiplier=0.0, clip_norm=1e6, clipping="threshold", batch_size=40
    )
    indices = torch.arange(0, 120, 3)
    ids, mask, labels = split.take(indices)
    model = classifier.model.train()
    loss = F.cross_entropy(model(input_ids=ids, attention_mask=mask).logits, labels)
    plain = torch.autograd.grad(loss, list(model.parameters()))
    before = weights(classifier)
    steps = PrivateSteps(model, split, replace(CONFIG, privacy=privacy))
    steps.optimizer = torch.optim.SGD(steps.parameters, lr=0.1)
    steps._step(indices)
    steps.close()
    for (name, value), gradient in zip(model.named_parameters(), plain, strict=True):
        assert torch.allclose(value, before[name] - 0.1 * gradient, rtol=1e-5, atol=1e-7)


def test_automatic_clipping_makes_the_clip_norm_no_setting():
    # Noise grows with the clip norm and AdamW divides by the gradients' size: one run, thrice.
    accuracies = []
    splits = make_splits(400)
    for clip_norm in (0.01, 1.0, 100.0):
        privacy = PrivacySettings(
            noise_multiplier=0.3, batch_size=128, clip_norm=clip_norm, clipping="automatic"
        )
        config = replace(CONFIG, epochs=20, learning_rate=2e-2, privacy=privacy)
        result = train(make_classifier(splits), splits, config, progress=False)
        accuracies.append(result.test_accuracy)
    assert min(accuracies) > 0.85
    assert max(accuracies) - min(accuracies) < 0.03


def test_batches_are_cut_into_chunks_of_like_length_that_fit():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 30, (500,), generator=generator)
    indices = torch.randperm(500, generator=generator)[:300]
    chunks = chunks_by_length(lengths, indices, tokens=400, cost=50)
    assert sorted(torch.cat(chunks).tolist()) == sorted(indices.tolist())
    for chunk in chunks:
        assert len(chunk) * int(lengths[chunk].max()) <= 400
    padded = sum(len(chunk) * int(lengths[chunk].max()) for chunk in chunks)
    assert padded + 50 * len(chunks) < 300 * 29  # less than the batch in one piece
    assert chunks_by_length(lengths, indices[:0], 400, 50) == []
    assert len(chunks_by_length(torch.tensor([500]), torch.tensor([0]), 64, 50)) == 1
    free = chunks_by_length(lengths, indices, tokens=10**6, cost=0)
    assert all(len(lengths[chunk].unique()) == 1 for chunk in free)


def test_an_empty_batch_is_a_step_of_noise_alone(splits):
    classifier = make_classifier(splits)
    split = encode_split(classifier, splits.train)
    steps = PrivateSteps(classifier.model, split, CONFIG)
    steps.optimizer.step = lambda: None
    assert steps._step(torch.empty(0, dtype=torch.long)) == 0.0
    noise = torch.cat([parameter.grad.flatten() for parameter in steps.parameters]) * 32
    assert noise.std().item() == pytest.approx(1.0, abs=5 / math.sqrt(2 * len(noise)))
    assert steps.results()["plan"]["ran"]["batch_sizes"]["empty"] == 1
    steps.close()


def test_batches_are_poisson_samples(splits):
    config = replace(CONFIG, privacy=PrivacySettings(noise_multiplier=1.0, batch_size=1))
    result = train(make_classifier(splits), splits, config, progress=False)
    assert result.steps == 360
    # Binomial(120, 1 / 120): mean 1, empty with probability 0.366.
    sizes = result.plan["ran"]["batch_sizes"]
    assert sizes["mean"] == pytest.approx(1, abs=0.2)
    assert sizes["empty"] / 360 == pytest.approx(0.366, abs=0.1)


def test_epsilon_is_calibrated_to_and_noise_zero_promises_nothing():
    plan = make_plan(PrivacySettings(epsilon=3.0), 2000, epochs=10)
    assert 2.9 < plan.epsilon() <= 3.0
    splits = make_splits(40)
    config = replace(CONFIG, epochs=1, privacy=PrivacySettings(noise_multiplier=0.0))
    assert train(make_classifier(splits), splits, config, progress=False).epsilon is None


def test_a_batch_is_an_eighth_of_the_sentences_and_256_at_least():
    settings = PrivacySettings(noise_multiplier=1.0)
    for sentences, expected in ((8000, 1000), (2000, 256), (100, 100)):
        plan = make_plan(settings, sentences, epochs=3)
        assert plan.expected_batch_size == pytest.approx(expected)
    assert make_plan(settings, 8000, epochs=3).steps == 24
    assert make_plan(replace(settings, batch_size=64), 8000, 1).expected_batch_size == 64


def test_a_small_corpus_is_sampled_whole():
    plan = make_plan(PrivacySettings(noise_multiplier=1.0, batch_size=256), 100, epochs=4)
    assert plan.sampling_rate == 1.0
    assert plan.steps == 4


@pytest.mark.parametrize(
    "change",
    [{"sensitivity": 2}, {"clip_norm": 0.5}],
)
def test_a_plan_that_is_not_what_runs_is_an_error(splits, change):
    classifier = make_classifier(splits)
    steps = PrivateSteps(classifier.model, encode_split(classifier, splits.train), CONFIG)
    before = weights(classifier)
    steps.run.privacy = replace(steps.run.privacy, **change)
    with pytest.raises(ModivaError, match=f"{next(iter(change))}=.* is what runs"):
        steps.epoch()
    steps.close()
    assert all(torch.equal(value, before[name]) for name, value in weights(classifier).items())


def test_more_steps_than_the_plan_has_are_refused(splits):
    classifier = make_classifier(splits)
    steps = PrivateSteps(classifier.model, encode_split(classifier, splits.train), CONFIG)
    for _ in range(CONFIG.epochs):
        steps.epoch()
    with pytest.raises(ModivaError, match="steps=12"):
        steps._step(torch.arange(3))
    steps.close()


def test_decaying_noise_is_added_as_planned():
    decaying = PrivacySettings(noise_multiplier=2.0, batch_size=32, clip_norm=0.5, noise_decay=0.9)
    plan = make_plan(decaying, 120, epochs=3)
    assert plan.noise_multiplier == pytest.approx([2.0] * 4 + [1.8] * 4 + [1.62] * 4)
    splits = make_splits()
    config = replace(CONFIG, privacy=decaying)
    ran = train(make_classifier(splits), splits, config, progress=False).plan["ran"]
    assert ran["noise_std"] == pytest.approx({"largest": 1.0, "smallest": 0.81})


def test_a_decaying_schedule_is_calibrated_to_epsilon():
    settings = PrivacySettings(epsilon=3.0, noise_decay=0.9)
    plan = make_plan(settings, 1024, epochs=4)
    assert 2.9 < plan.epsilon() <= 3.0
    assert plan.noise_multipliers[-1] == pytest.approx(plan.noise_multipliers[0] * 0.9**3)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"noise_multiplier": 1.0, "epsilon": 3.0},
        {"noise_multiplier": -1.0},
        {"epsilon": 0.0},
        {"noise_multiplier": 1.0, "clip_norm": 0.0},
        {"noise_multiplier": 1.0, "delta": 1.0},
        {"noise_multiplier": 1.0, "batch_size": 0},
        {"noise_multiplier": 1.0, "clipping": "sometimes"},
        {"noise_multiplier": 1.0, "method": "sgd"},
        {"noise_multiplier": 1.0, "noise_decay": 0.0},
        {"noise_multiplier": 1.0, "noise_decay": 1.1},
    ],
)
def test_private_settings_out_of_range_are_refused(settings):
    with pytest.raises(ModivaError):
        PrivacySettings(**settings)


def test_a_delta_that_allows_publishing_an_example_is_refused():
    with pytest.raises(ModivaError, match="delta"):
        make_plan(PrivacySettings(noise_multiplier=1.0, delta=0.01), 100, epochs=1)


def test_a_frozen_encoder_is_run_once_and_its_head_is_trained_all_the_same(splits, tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = BertModel(BertConfig(vocab_size=60, intermediate_size=8, **sizes))
    tokenizer = make_classifier(splits).tokenizer
    folder = save(Classifier(encoder, tokenizer), tmp_path / "encoder")
    spec, config = resolve(Condition(target=str(folder), privacy=Privacy(noise_multiplier=0.5)))
    classifier = build(spec, texts=[], intents=sorted(WORDS))
    split = encode_split(classifier, splits.train)
    steps = PrivateSteps(classifier.model.train(), split, config)
    steps.optimizer.step = lambda: None
    gradients = []
    indices = torch.arange(0, 120, 3)
    for vectors in (steps.losses.vectors, None):
        steps.losses.vectors = vectors
        steps.optimizer.zero_grad()
        steps.clip(indices)
        gradients.append([parameter.grad.clone() for parameter in steps.parameters])
    steps.close()
    assert [tuple(gradient.shape) for gradient in gradients[0]] == [(3, 8), (3,)]
    for cached, plain in zip(*gradients, strict=True):
        assert torch.allclose(cached, plain, rtol=1e-4, atol=1e-6)
    before = weights(classifier)
    result = train(classifier, splits, replace(config, epochs=2, patience=2), progress=False)
    valid = evaluate(classifier.model, encode_split(classifier, splits.valid))
    assert (result.history[-1].valid_loss, result.valid_accuracy) == pytest.approx(valid)
    changed = [name for name, value in weights(classifier).items() if (value != before[name]).any()]
    assert changed == ["head.weight", "head.bias"]


class Interrupted(PerExampleClipper):
    def backward(self, losses):
        super().backward(losses)
        raise RuntimeError("interrupted")


def test_hooks_are_gone_after_an_error(splits):
    classifier = make_classifier(splits)

    def make(model, clipping):
        return Interrupted(model, clipping.clip_norm)

    with pytest.raises(RuntimeError, match="interrupted"):
        train(classifier, splits, CONFIG, progress=False, clipper=make)
    train(classifier, splits, CONFIG, progress=False)
