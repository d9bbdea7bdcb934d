"""train(): fit one classifier in place, privately or not, and return what was measured."""

import logging
import time
from typing import TYPE_CHECKING

from torch import Tensor, nn
from tqdm.auto import tqdm

from modiva.errors import ModivaError
from modiva.privacy import ClipperFactory
from modiva.training.batches import EncodedSplits, encode_splits
from modiva.training.config import Data, EpochRecord, Splits, TrainConfig, TrainResult, as_splits
from modiva.training.evaluate import Evaluation, evaluate
from modiva.training.losses import frozen_vectors
from modiva.training.private import PrivateSteps
from modiva.training.seeds import check_precision, resolve_device, training_process
from modiva.training.steps import PlainSteps
from modiva.training.stopping import EarlyStopping
from modiva.training.tuning import tuned

if TYPE_CHECKING:
    from modiva.classifiers import Classifier

logger = logging.getLogger(__name__)


def train(
    classifier: "Classifier",
    data: Data,
    config: TrainConfig,
    progress: bool = True,
    clipper: ClipperFactory | None = None,
) -> TrainResult:
    """Fit `classifier` in place to `data.train`; the same seed gives bit-identical weights.

    The classifier ends in evaluation mode on the device it was trained on. Bit-identical holds on
    the CPU for one number of threads; CUDA kernels may add up in another order.

    Args:
        data: a corpus or (train, valid, test), each of (text, intent) pairs; validation decides
            early stopping and no more.
        progress: show a progress bar on standard error.
        clipper: of private training, in place of the one that `config.privacy.method` names. Its
            clip norm must be that of `config.privacy`; epsilon follows from its sensitivity.

    Raises:
        ModivaError: an unknown intent, an empty training split, early stopping without validation
            sentences, a device that is not there, a model that cannot be trained privately, or a
            clipper for ordinary training.
    """
    started = time.perf_counter()
    check_clipper(clipper, config)
    device = resolve_device(config.device)
    check_precision(config.precision, device)
    examples = as_splits(data)
    check_early_stopping(examples, config)
    splits = encode_splits(classifier, examples).to(device)
    model: nn.Module = classifier.model
    model.to(device)
    with training_process(config.seed, device), tuned(model, config.part):
        model.train()
        steps: PlainSteps | PrivateSteps
        if config.privacy is None:
            steps = PlainSteps(model, splits.train, config, watched=(splits.valid,))
        else:
            steps = PrivateSteps(model, splits.train, config, clipper)
        try:
            stopping, history = _fit(model, splits, steps, config, progress)
        finally:
            steps.close()
    model.eval()
    return _result(model, splits, steps, stopping, history, time.perf_counter() - started)


def check_early_stopping(data: Splits, config: TrainConfig) -> None:
    """Refuse early stopping on nothing.

    Raises:
        ModivaError: patience without validation sentences.
    """
    if config.patience is not None and not data.valid:
        raise ModivaError(
            f"patience={config.patience} needs validation sentences to stop early by; give a "
            "validation split or train without early stopping"
        )


def check_clipper(clipper: ClipperFactory | None, config: TrainConfig) -> None:
    """Refuse a clipper where nothing is clipped.

    Raises:
        ModivaError: a clipper without privacy.
    """
    if clipper is not None and config.privacy is None:
        raise ModivaError("a clipper for training without privacy: give privacy, or no clipper")


def _fit(
    model: nn.Module,
    splits: EncodedSplits,
    steps: PlainSteps | PrivateSteps,
    config: TrainConfig,
    progress: bool,
) -> tuple[EarlyStopping, list[EpochRecord]]:
    stopping = EarlyStopping(config.patience)
    history: list[EpochRecord] = []
    best: dict[str, Tensor] = {}
    # Nothing else looks at the validation split before the end, and an epoch's look may cost half
    # of its training.
    watched = config.patience is not None
    vectors = frozen_vectors(model, splits.valid) if watched else None
    bar = tqdm(range(1, config.epochs + 1), desc="training", unit="epoch", disable=not progress)
    for epoch in bar:
        train_loss = steps.epoch()
        valid = evaluate(model, splits.valid, vectors) if watched else Evaluation(None, None)
        history.append(EpochRecord(epoch, train_loss, valid.loss, valid.accuracy))
        seen = {"valid": f"{valid.accuracy:.3f}"} if valid.accuracy is not None else {}
        bar.set_postfix(loss=f"{train_loss:.3f}", **seen)
        if stopping.update(epoch, valid.loss) and config.patience is not None:
            best = {name: value.clone() for name, value in model.state_dict().items()}
        if stopping.stop:
            break
    if best:
        model.load_state_dict(best)
    return stopping, history


def _result(
    model: nn.Module,
    splits: EncodedSplits,
    steps: PlainSteps | PrivateSteps,
    stopping: EarlyStopping,
    history: list[EpochRecord],
    seconds: float,
) -> TrainResult:
    accuracy = evaluate(model, splits.train).accuracy
    assert accuracy is not None
    result = TrainResult(
        test_accuracy=evaluate(model, splits.test).accuracy,
        valid_accuracy=evaluate(model, splits.valid).accuracy,
        train_accuracy=accuracy,
        majority_accuracy=splits.majority_accuracy,
        epochs_run=len(history),
        best_epoch=stopping.best_epoch,
        steps=steps.steps,
        history=tuple(history),
        seconds=seconds,
        **(steps.results() if isinstance(steps, PrivateSteps) else {}),
    )
    logger.info("trained %d epochs: test accuracy %s", result.epochs_run, result.test_accuracy)
    return result
