"""Engine `local`: processes of this machine that stay up, one thread each, one task at a time."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from modiva.errors import ModivaError
from modiva.studies.engines.task import ATTEMPTS, Engine, Outcome, Task, perform
from modiva.validate import require

_WORKER = "modiva-worker"  # name of the processes
# Exit code of a worker that would start a study while it imports the program's own script.
UNGUARDED = 93


def end_unguarded() -> None:
    """End this process if it is a worker, which runs steps and never a study."""
    if multiprocessing.current_process().name == _WORKER:
        os._exit(UNGUARDED)


@dataclass
class _Job:
    task: Task
    inputs: Mapping[str, Path]
    attempts: int = 0


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: _Job | None = None


class LocalEngine(Engine):
    """Keeps `workers` processes; one that dies is replaced and its task given out again."""

    def __init__(self, workers: int, scratch: Path) -> None:
        """Start nothing yet: a process starts with its first task.

        Args:
            workers: processes side by side.
            scratch: an existing folder for artefacts that are not finished.

        Raises:
            ModivaError: fewer than one worker.
        """
        require(workers >= 1, "--workers", workers, "1 or more")
        self._size, self._scratch = workers, scratch
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")

    @property
    def slots(self) -> int:
        """One task a process."""
        return self._size

    def submit(self, task: Task, inputs: Mapping[str, Path]) -> None:
        """Give a task to a process that has none."""
        self._give(_Job(task, inputs))

    def wait(self, seconds: float) -> list[Outcome]:
        """Return the outcomes of the tasks that ended, and of those whose processes keep dying."""
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        outcomes: list[Outcome] = []
        for pipe in wait(list(busy), timeout=seconds):
            worker = busy[pipe]  # type: ignore[index]
            try:
                outcomes += worker.pipe.recv()
                worker.job = None
            except (EOFError, OSError):
                outcomes += self._died(worker)
        return outcomes

    def _died(self, worker: _Worker) -> list[Outcome]:
        job = worker.job
        assert job is not None
        self._workers.remove(worker)
        worker.process.join(timeout=2)  # its pipe is closed, so it is about to end
        code = worker.process.exitcode
        _end(worker)
        if code == UNGUARDED:
            raise ModivaError(
                "run_study is called again where a worker process imports the script that called "
                "it: put the call under if __name__ == '__main__':"
            ) from None
        job.attempts += 1
        if job.attempts < ATTEMPTS:
            self._give(job)
            return []
        end = f"exit code {code}" if code and code > 0 else "killed, or no memory"
        message = f"a worker process died {ATTEMPTS} times ({end})"
        return [Outcome(key, error=message) for key, _ in job.task.steps]

    def _give(self, job: _Job) -> None:
        idle = (worker for worker in self._workers if worker.job is None)
        worker = next(idle, None) or self._start()
        worker.job = job
        # A worker that died while it was idle: `wait` sees its closed pipe and goes on.
        with suppress(OSError):
            worker.pipe.send((job.task, job.inputs, self._scratch))

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs,), name=_WORKER, daemon=True)
        # Ctrl-C reaches every process of a terminal: workers inherit that it waits, and the run
        # that ends them is the only one to say so.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # so that the end of the process closes the pipe
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def __exit__(self, *_: Any) -> None:
        for worker in self._workers:
            _end(worker)
        self._workers = []


def _end(worker: _Worker) -> None:
    """End workers: an idle one ends with its pipe; one in the middle of a task is killed."""
    worker.pipe.close()
    if worker.job is None:
        worker.process.join(timeout=2)
    worker.process.kill()
    worker.process.join()


def serve(pipe: Connection) -> None:
    """Run tasks that come through the pipe until its other end is closed."""
    one_thread()
    _end_with_parent()
    while True:
        try:
            task, inputs, scratch = pipe.recv()
        except EOFError:
            return
        pipe.send(list(perform(task, inputs, scratch)))


def one_thread() -> None:
    """Set one thread per process: the same sums in the same order on any number of cores.

    Set before PyTorch is imported, which this does not do: steps that need it import it.
    """
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")


def _end_with_parent() -> None:
    """End this process when its parent is gone: a killed run must not go on computing."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
