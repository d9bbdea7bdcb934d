from dataclasses import replace

import pytest
import torch

from modiva.errors import ModivaError
from modiva.training.batches import encode_split
from modiva.training.config import Splits, TrainConfig
from modiva.training.evaluate import evaluate
from modiva.training.loop import train
from modiva.training.seeds import fast_bfloat16
from modiva.training.stopping import EarlyStopping

from .conftest import make_classifier, make_splits, weights

CONFIG = TrainConfig(epochs=6, batch_size=16, learning_rate=1e-2, device="cpu")


@pytest.mark.parametrize("architecture", ["cnn", "lstm", "transformer"])
def test_training_learns_a_learnable_task(architecture, splits):
    config = replace(CONFIG, epochs=12)
    result = train(make_classifier(splits, architecture), splits, config, progress=False)
    assert result.test_accuracy > 0.75 > result.majority_accuracy + 0.3
    assert result.epochs_run == result.best_epoch == 12
    assert result.steps == 12 * 8
    assert result.epsilon is None
    assert result.plan is None


@pytest.mark.parametrize("architecture", ["cnn", "lstm"])
def test_the_same_seed_gives_bit_identical_weights(architecture, splits):
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # what the caller did before must not matter
        classifier = make_classifier(splits, architecture, embedding_dropout=0.2, head_dropout=0.5)
        train(classifier, splits, replace(CONFIG, epochs=3, seed=5), progress=False)
        runs.append(weights(classifier))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_another_seed_gives_other_weights(splits):
    runs = []
    for seed in (1, 2):
        classifier = make_classifier(splits)
        train(classifier, splits, replace(CONFIG, epochs=1, seed=seed), progress=False)
        runs.append(weights(classifier))
    assert not torch.equal(*(run["embedding.words.weight"] for run in runs))


def test_training_leaves_the_callers_random_state_alone(splits):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train(make_classifier(splits), splits, replace(CONFIG, epochs=1), progress=False)
    assert torch.equal(torch.rand(4), expected)


def test_frozen_embeddings_stay(splits):
    classifier = make_classifier(splits, freeze_embeddings=True)
    before = weights(classifier)
    train(classifier, splits, replace(CONFIG, epochs=1), progress=False)
    after = weights(classifier)
    assert torch.equal(before["embedding.words.weight"], after["embedding.words.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_early_stopping_gives_the_best_epochs_weights_back():
    splits = make_splits(60)
    # Labels of half the validation split are wrong, so that confidence is punished soon.
    wrong = [(text, "play") for text, _ in splits.valid[:20]]
    splits = splits._replace(valid=[*wrong, *splits.valid[20:]])
    classifier = make_classifier(splits)
    config = replace(CONFIG, epochs=40, patience=2)
    result = train(classifier, splits, config, progress=False)
    losses = [record.valid_loss for record in result.history]
    assert result.epochs_run < 40
    assert result.best_epoch == losses.index(min(losses)) + 1 == result.epochs_run - 2
    kept = evaluate(classifier.model, encode_split(classifier, splits.valid))
    assert kept.loss == pytest.approx(min(losses), abs=1e-6)
    assert kept.accuracy == pytest.approx(result.valid_accuracy)


def test_without_patience_the_last_epoch_is_kept(splits):
    follow = EarlyStopping(None)
    assert [follow.update(epoch, loss) for epoch, loss in ((1, 0.1), (2, 9.0))] == [True, True]
    assert follow.best_epoch == 2
    assert not follow.stop


def test_a_loss_that_is_not_a_number_does_not_hide_the_first_epoch():
    follow = EarlyStopping(1)
    assert follow.update(1, float("nan"))
    assert not follow.update(2, float("nan"))
    assert follow.stop


def test_empty_validation_and_test_splits_are_allowed(splits):
    result = train(
        make_classifier(splits), Splits(splits.train, [], []), replace(CONFIG, epochs=1), False
    )
    assert result.test_accuracy is None
    assert result.valid_accuracy is None
    assert result.majority_accuracy is None


def test_early_stopping_needs_validation_sentences(splits):
    with pytest.raises(ModivaError, match="validation"):
        train(
            make_classifier(splits),
            splits._replace(valid=[]),
            replace(CONFIG, patience=1),
            progress=False,
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", -1),
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("patience", 0),
        ("device", "tpu"),
        ("precision", "int8"),
    ],
)
def test_a_setting_out_of_range_is_named(field, value):
    with pytest.raises(ModivaError, match=field):
        TrainConfig(**{field: value})


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_settings_are_refused_without_cuda(splits):
    with pytest.raises(ModivaError, match="none"):
        train(make_classifier(splits), splits, replace(CONFIG, device="cuda"), progress=False)


def test_bfloat16_on_a_processor_is_refused_or_trains_as_well(splits):
    config = replace(CONFIG, device="cpu", precision="bfloat16")
    if not fast_bfloat16():
        with pytest.raises(ModivaError, match="no instructions"):
            train(make_classifier(splits), splits, config, progress=False)
        return
    whole, half = (make_classifier(splits) for _ in range(2))
    expected = train(whole, splits, replace(config, precision="float32"), progress=False)
    found = train(half, splits, config, progress=False)
    assert found.history != expected.history
    assert found.test_accuracy == pytest.approx(expected.test_accuracy, abs=0.05)
    assert all(weight.dtype == torch.float32 for weight in half.model.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_on_cuda(splits, precision):
    config = replace(CONFIG, device="cuda", precision=precision)
    assert train(make_classifier(splits), splits, config, progress=False).test_accuracy > 0.8
