"""The step `train`: plant secrets and train the targets of one chunk, side by side if they can.

Its artefact is a folder of targets (`modiva.training.save_targets`), its rows one a trained model.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from modiva.condition import Condition
from modiva.handling import Federated
from modiva.studies.engines.task import Context, Rows
from modiva.studies.settings import STACK
from modiva.studies.spec import Cell
from modiva.studies.steps.rows import model_row, plain
from modiva.training import prepare, prepare_process, resolve, save_targets


@dataclass(frozen=True)
class TrainJob:
    """Targets of one condition that train as one step.

    Args:
        condition: of the targets.
        fingerprint: of the corpus that the study was planned with.
        seeds: one a target.
        order_seed: of the order of batch lengths, which targets of one stack share.
    """

    condition: Condition
    fingerprint: str
    seeds: tuple[int, ...]
    order_seed: int
    kind = "train"

    def __call__(self, context: Context) -> Rows:
        """Train the targets and leave them in `context.out`; one row per model."""
        prepare_process()
        prepared = prepare(self.condition, fingerprint=self.fingerprint, device=context.device)
        trained = prepared.train(self.seeds, order_seed=self.order_seed, rounds=context.unfinished)
        save_targets(trained, context.out)
        return plain(model_row(prepared, *own) for own in trained)


def train_jobs(cell: Cell, fingerprint: str) -> Iterator[TrainJob]:
    """Cut the models of a cell into steps.

    Models that train one after the other, as pretrained ones and private ones of any method but
    "dp" do, are steps of their own, so that a study of more models trains only those that are new.
    Others train in blocks of `STACK`, or in parts of one where `stack` asks for smaller ones.
    """
    spec, config = resolve(cell.condition)
    alone = not spec.is_own or isinstance(cell.condition.training, Federated)
    alone = alone or (config.privacy is not None and config.privacy.method != "dp")
    stack = 1 if alone else cell.stack
    seeds = cell.model_seeds
    for block in range(0, cell.models, STACK):
        end = min(block + STACK, cell.models)
        for start in range(block, end, stack):
            chunk = tuple(seeds[start : min(start + stack, end)])
            yield TrainJob(cell.condition, fingerprint, chunk, seeds[block])
