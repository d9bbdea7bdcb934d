"""train_stack(): fit models of one architecture side by side, as if each were alone."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from modiva.classifiers import TargetClassifier, stacked
from modiva.errors import ModivaError
from modiva.privacy import ClipperFactory
from modiva.training.batches import encode_splits
from modiva.training.config import Data, TrainConfig, TrainResult, as_splits
from modiva.training.layer_stack import LayerStack
from modiva.training.loop import check_clipper, check_early_stopping, train
from modiva.training.private_stack import PrivateStackRun
from modiva.training.seeds import check_precision, resolve_device, training_process
from modiva.training.stack_run import StackRun
from modiva.training.stacked import ModelStack

if TYPE_CHECKING:
    from modiva.classifiers import Classifier


def train_stack(
    classifiers: Sequence["Classifier"],
    datas: Sequence[Data],
    config: TrainConfig,
    seeds: Sequence[int],
    progress: bool = True,
    clipper: ClipperFactory | None = None,
) -> list[TrainResult]:
    """Fit every classifier in place to its own data, equal to `train` with its own seed.

    Equal within floating-point error where nothing is random but the batches; dropout draws other
    masks than a model alone. Sizes of the data may differ; a model that stops early leaves the
    stack. A model's seconds are the stack's divided by its models. One after the other train
    models whose forward pass `torch.func.vmap` cannot be trusted with (any but ours), and of
    private ones those that have a layer without a stacked form, another method than "dp" or a
    clipper of their own.

    Args:
        config: of all; its seed is not used.
        seeds: one a model.
        clipper: of private training, see `train`.

    Raises:
        ModivaError: as `train`; lists of different lengths; models that differ in shape.
    """
    if not len(classifiers) == len(datas) == len(seeds):
        raise ModivaError(
            f"{len(classifiers)} classifiers, {len(datas)} data sets, {len(seeds)} seeds: give one "
            "data set and one seed per classifier"
        )
    check_clipper(clipper, config)
    models: list[nn.Module] = [classifier.model for classifier in classifiers]
    if clipper is not None or not all(_stacks(model, config) for model in models):
        alone = zip(classifiers, datas, seeds, strict=True)
        return [
            train(c, data, replace(config, seed=seed), progress, clipper) for c, data, seed in alone
        ]
    if not classifiers:
        return []
    device = resolve_device(config.device)
    check_precision(config.precision, device)
    examples = [as_splits(data) for data in datas]
    for each in examples:
        check_early_stopping(each, config)
    started = time.perf_counter()
    splits = [encode_splits(c, d).to(device) for c, d in zip(classifiers, examples, strict=True)]
    models = [model.to(device) for model in models]
    with training_process(seeds, device):
        run: StackRun
        if config.privacy is None:
            run = StackRun(ModelStack(models), splits, config, seeds, progress)
        else:
            run = PrivateStackRun(LayerStack(models), splits, config, seeds, progress)
        run.fit()
    for model in models:
        model.eval()
    return run.results(time.perf_counter() - started)


def _stacks(model: nn.Module, config: TrainConfig) -> bool:
    """Return whether models of this kind train side by side: privately by exact clipping alone."""
    if not isinstance(model, TargetClassifier):
        return False
    return config.privacy is None or (config.privacy.method == "dp" and stacked.can_stack(model))
