from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modiva.classifiers.cnn import CnnEncoder
from modiva.classifiers.configuration import CnnConfig
from modiva.errors import ModivaError
from modiva.training.config import PrivacySettings, TrainConfig
from modiva.training.loop import train
from modiva.training.stack import train_stack

from .conftest import make_classifier, make_splits, weights

CONFIG = TrainConfig(epochs=3, batch_size=16, learning_rate=5e-3, device="cpu")


def stack_and_alone(architecture, datas, config, **spec):
    seeds = [11 + m for m in range(len(datas))]
    stacked = [make_classifier(d, architecture, m, **spec) for m, d in enumerate(datas)]
    alone = [make_classifier(d, architecture, m, **spec) for m, d in enumerate(datas)]
    together = train_stack(stacked, datas, config, seeds, progress=False)
    apart = [
        train(classifier, data, replace(config, seed=seed), progress=False)
        for classifier, data, seed in zip(alone, datas, seeds, strict=True)
    ]
    return stacked, alone, together, apart


def assert_equal(stacked, alone, together, apart, tolerance=2e-4):
    for one, other in zip(stacked, alone, strict=True):
        ours, theirs = weights(one), weights(other)
        assert ours.keys() == theirs.keys()
        for name in ours:
            # A bias of the keys moves all scores of a query alike: softmax ignores it, so that its
            # gradient is rounding error, which Adam makes as large as any other.
            if not name.endswith("key.bias"):
                assert torch.allclose(ours[name], theirs[name], atol=tolerance), name
    for one, other in zip(together, apart, strict=True):
        assert (one.epochs_run, one.best_epoch, one.steps) == (
            other.epochs_run,
            other.best_epoch,
            other.steps,
        )
        assert one.test_accuracy == pytest.approx(other.test_accuracy, abs=0.03)
        assert one.majority_accuracy == other.majority_accuracy
        for mine, yours in zip(one.history, other.history, strict=True):
            assert mine.train_loss == pytest.approx(yours.train_loss, abs=1e-3)
            assert mine.valid_loss == pytest.approx(yours.valid_loss, abs=1e-3)


@pytest.mark.parametrize(
    ("architecture", "spec"),
    [
        ("cnn", {}),
        ("cnn", {"char_embeddings": True}),
        ("lstm", {}),
        ("lstm", {"pooling": "last", "freeze_embeddings": True}),
        ("transformer", {}),
    ],
)
def test_a_stack_equals_each_model_alone(architecture, spec):
    # Other sentences, numbers of sentences and vocabularies; one has no full last batch.
    datas = [make_splits(96, 0), make_splits(70, 1), make_splits(113, 2)]
    assert_equal(*stack_and_alone(architecture, datas, CONFIG, **spec))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    length=st.integers(1, 7),
    kernels=st.sets(st.integers(1, 6), min_size=1),
)
def test_fused_convolutions_equal_those_one_by_one(seed, length, kernels):
    torch.manual_seed(seed)
    config = CnnConfig(embedding_dim=3, hidden_size=4, kernel_sizes=tuple(sorted(kernels)))
    encoder = CnnEncoder(config).double()
    vectors = torch.randn(5, length, 3, dtype=torch.float64)
    vectors[1] = vectors[1, :1]  # one word again and again: several windows share the maximum
    mask = torch.arange(length) < torch.tensor([length, length, 1, 0, length])[:, None]
    found = []
    for encoder.fused in (False, True):
        leaf = vectors.clone().requires_grad_()
        pooled = encoder(leaf, mask)  # (B, kernels * H)
        towards = torch.arange(pooled.numel(), dtype=torch.float64).view_as(pooled).sin()
        gradients = list(
            torch.autograd.grad((pooled * towards).sum(), [leaf, *encoder.parameters()])
        )
        # Rounding decides which of the equal windows is the maximum, but not what the word gets.
        gradients[0][1] = gradients[0][1].sum(0)
        found.append((pooled, *gradients, encoder(leaf, None)))
    torch.testing.assert_close(found[0], found[1])


def test_a_model_that_stops_early_leaves_the_stack_and_the_others_go_on():
    datas = [make_splits(60, seed) for seed in range(3)]
    wrong = [(text, "play") for text, _ in datas[0].valid[:20]]
    datas[0] = datas[0]._replace(valid=[*wrong, *datas[0].valid[20:]])
    config = replace(CONFIG, epochs=12, learning_rate=1e-2, patience=2)
    stacked, alone, together, apart = stack_and_alone("cnn", datas, config)
    assert len({result.epochs_run for result in together}) > 1
    assert all(result.epochs_run < 12 for result in together[:1])
    assert_equal(stacked, alone, together, apart)


def test_a_stack_is_reproducible_with_dropout():
    runs = []
    for _ in range(2):
        datas = [make_splits(40, seed) for seed in range(2)]
        classifiers = [make_classifier(data, "lstm", head_dropout=0.5) for data in datas]
        train_stack(classifiers, datas, CONFIG, [1, 2], progress=False)
        runs.append([weights(classifier) for classifier in classifiers])
    for one, other in zip(*runs, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_dropout_masks_differ_between_the_models_of_a_stack():
    data = make_splits(40)
    classifiers = [make_classifier(data, embedding_dropout=0.5) for _ in range(2)]
    train_stack(classifiers, [data, data], replace(CONFIG, epochs=1), [1, 1], progress=False)
    first, second = (weights(classifier)["head.weight"] for classifier in classifiers)
    assert not torch.allclose(first, second, atol=1e-4)


PRIVACY = PrivacySettings(noise_multiplier=0.5, clip_norm=0.5, batch_size=24)


@pytest.mark.parametrize(
    ("architecture", "spec", "privacy"),
    [
        ("cnn", {}, {}),
        ("cnn", {"char_embeddings": True}, {"clipping": "automatic", "noise_decay": 0.9}),
        ("lstm", {}, {"epsilon": 5.0, "noise_multiplier": None}),
        ("lstm", {"pooling": "last", "freeze_embeddings": True}, {}),
        ("transformer", {}, {}),
    ],
)
def test_a_private_stack_equals_each_model_alone(architecture, spec, privacy):
    # Models take 4, 3 and 5 steps an epoch, and have plans of their own.
    datas = [make_splits(96, 0), make_splits(70, 1), make_splits(113, 2)]
    config = replace(CONFIG, privacy=replace(PRIVACY, **privacy))
    stacked, alone, together, apart = stack_and_alone(architecture, datas, config, **spec)
    assert_equal(stacked, alone, together, apart)
    for one, other in zip(together, apart, strict=True):
        ours, theirs = dict(one.plan), dict(other.plan)
        mine, yours = ours.pop("ran"), theirs.pop("ran")
        assert ours == theirs
        assert (one.epsilon, one.delta) == (other.epsilon, other.delta)
        assert mine.pop("clipped_fraction") == pytest.approx(
            yours.pop("clipped_fraction"), abs=0.02
        )
        assert mine == yours
    assert len({result.steps for result in together}) == 3


def test_empty_batches_of_a_private_stack_are_steps_of_noise():
    datas = [make_splits(40, seed) for seed in range(3)]
    config = replace(CONFIG, epochs=1, privacy=replace(PRIVACY, batch_size=1))
    stacked, alone, together, apart = stack_and_alone("lstm", datas, config)
    assert_equal(stacked, alone, together, apart)
    assert all(result.plan["ran"]["batch_sizes"]["empty"] for result in together)


def test_a_private_model_that_stops_early_leaves_the_stack():
    datas = [make_splits(60, seed) for seed in range(3)]
    wrong = [(text, "play") for text, _ in datas[0].valid[:20]]
    datas[0] = datas[0]._replace(valid=[*wrong, *datas[0].valid[20:]])
    config = replace(CONFIG, epochs=20, learning_rate=2e-2, patience=1, privacy=PRIVACY)
    stacked, alone, together, apart = stack_and_alone("cnn", datas, config)
    assert len({result.epochs_run for result in together}) > 1
    assert_equal(stacked, alone, together, apart)


@pytest.mark.parametrize("method", ["edp", "loop"])
def test_other_private_methods_train_one_after_the_other(method):
    datas = [make_splits(30, seed) for seed in range(2)]
    config = replace(CONFIG, epochs=1, privacy=replace(PRIVACY, method=method))
    stacked, alone, together, _ = stack_and_alone("cnn", datas, config)
    for one, other in zip(stacked, alone, strict=True):
        ours, theirs = weights(one), weights(other)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(result.epsilon for result in together)


def test_models_that_do_not_fit_are_refused():
    data = make_splits(30)
    small, other = make_classifier(data), make_classifier(data, char_embeddings=True)
    with pytest.raises(ModivaError, match="differ"):
        train_stack([small, other], [data, data], CONFIG, [0, 1], progress=False)
    with pytest.raises(ModivaError, match="1 seeds"):
        train_stack([small, small], [data, data], CONFIG, [0], progress=False)
    assert train_stack([], [], CONFIG, [], progress=False) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_a_stack_trains_on_cuda():
    datas = [make_splits(60, seed) for seed in range(2)]
    config = replace(CONFIG, epochs=6, device="cuda")
    classifiers = [make_classifier(data) for data in datas]
    assert all(r.train_accuracy > 0.5 for r in train_stack(classifiers, datas, config, [1, 2]))
