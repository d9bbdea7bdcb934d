"""Run cells on this machine: processes side by side, one thread each."""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from modiva.studies.spec import Cell


@dataclass(frozen=True)
class Outcome:
    """What became of one cell: its rows, or the text of the error that ended it."""

    cell: Cell
    rows: list[dict[str, Any]]
    seconds: dict[str, float]
    error: str | None = None


def run_local(cells: Sequence[Cell], workers: int, device: str) -> Iterator[Outcome]:
    """Yield every cell's outcome as it ends; one failing cell does not stop the others.

    A worker that dies (out of memory, a signal) fails the cells that ran beside it in the pool;
    those get an error that says so and are computed again by the next run.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        max_workers=min(workers, max(len(cells), 1)),
        mp_context=context,
        initializer=_start_worker,
    ) as pool:
        futures: dict[Future[Outcome], Cell] = {
            pool.submit(attempt, cell, device): cell for cell in cells
        }
        try:
            for future in as_completed(futures):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield Outcome(
                        futures[future], [], {}, "a worker process died (killed, or no memory)"
                    )
        except BaseException:
            # Ctrl-C or a full disk: what runs is ended, what waits is dropped.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def attempt(cell: Cell, device: str, run: Callable[[Cell, str], Any] | None = None) -> Outcome:
    """Run one cell and turn an exception into an outcome."""
    from modiva.studies.cells import run_cell

    try:
        rows, seconds = (run or run_cell)(cell, device)
    except Exception:
        return Outcome(cell, [], {}, traceback.format_exc())
    return Outcome(cell, rows, seconds)


def _start_worker() -> None:
    """One thread a process: the same sums in the same order on any number of cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
