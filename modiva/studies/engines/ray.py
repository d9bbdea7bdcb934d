"""Engine `ray`: the same tasks on an existing Ray cluster; only the driver touches the store.

Artefacts travel as bytes through Ray's object store, so nodes need no folder in common for them.
Nothing stays up between runs: tasks are plain Ray tasks, and there are no actors.
"""

import logging
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modiva.errors import ModivaError
from modiva.studies.code import code_version
from modiva.studies.engines.local import one_thread
from modiva.studies.engines.task import ATTEMPTS, Engine, Outcome, Task, perform

logger = logging.getLogger(__name__)

Files = dict[str, bytes]  # an artefact, by path

# Tasks in flight for every one that can run: enough that no node waits for the driver.
AHEAD = 2
# Losing a worker or node, or with it an object, costs a task one of these; Ray gives it out again.
RETRIES = 5


class RayEngine(Engine):
    """Runs tasks on a Ray cluster; lost workers and nodes cost time and no rows."""

    def __init__(self, address: str, gpus: float, scratch: Path) -> None:
        """Connect to the cluster.

        Args:
            address: as `ray.init` takes it.
            gpus: GPUs, or a share of one, that every task reserves.
            scratch: an existing folder for artefacts that have just come back.

        Raises:
            ModivaError: Ray is not installed, or there is no cluster or no such resource.
        """
        try:
            import ray
        except ImportError as error:
            raise ModivaError("--engine ray needs Ray: pip install modiva[ray]") from error
        self._ray, self._scratch, self._gpus = ray, scratch, gpus
        self._started = not ray.is_initialized()
        if self._started:
            try:
                _knock(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, ValueError, RuntimeError) as error:
                raise ModivaError(
                    f"--address {address}: no Ray cluster there ({error}); start one with "
                    "ray start --head"
                ) from error
        if gpus > ray.cluster_resources().get("GPU", 0):
            raise ModivaError(f"--gpus-per-cell {gpus}: the cluster has fewer GPUs; ask for less")
        self._perform = ray.remote(
            num_cpus=1, num_gpus=gpus, max_retries=RETRIES, retry_exceptions=False
        )(perform_remote)
        self._running: dict[Any, tuple[Task, dict[str, Any], int]] = {}
        self._sent: dict[Path, Any] = {}

    @property
    def slots(self) -> int:
        """What the cluster, as it is now, can run, and some that wait."""
        resources = self._ray.cluster_resources()
        places = resources.get("CPU", 1.0)
        if self._gpus:
            places = min(places, resources.get("GPU", 0.0) / self._gpus)
        return max(AHEAD, AHEAD * int(places))

    def submit(self, task: Task, inputs: Mapping[str, Path]) -> None:
        """Send a task, and its inputs where no task in flight has brought them there yet."""
        self._send(task, {role: self._put(folder) for role, folder in inputs.items()}, 1)

    def wait(self, seconds: float) -> list[Outcome]:
        """Return the outcomes of the tasks that ended; artefacts are unpacked beside the store."""
        ended, _ = self._ray.wait(
            list(self._running), num_returns=len(self._running), timeout=0, fetch_local=False
        )
        if not ended:
            ended, _ = self._ray.wait(list(self._running), timeout=seconds)
        outcomes: list[Outcome] = []
        for reference in ended:
            task, inputs, attempt = self._running.pop(reference)
            try:
                answers = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                if attempt < ATTEMPTS:
                    logger.warning("a task was lost (%s): sent again", type(error).__name__)
                    self._send(task, inputs, attempt + 1)
                else:
                    outcomes += [Outcome(key, error=str(error)) for key, _ in task.steps]
                continue
            outcomes += [self._unpacked(outcome, files) for outcome, files in answers]
        if not self._running:
            self._sent.clear()
        return outcomes

    def _send(self, task: Task, inputs: dict[str, Any], attempt: int) -> None:
        version = _versions(task)
        # References inside a container are not fetched by Ray itself; as arguments they are.
        reference = self._perform.remote(task, version, list(inputs), *inputs.values())
        self._running[reference] = task, inputs, attempt

    def _put(self, folder: Path) -> Any:
        if folder not in self._sent:
            if len(self._sent) > 4 * self.slots:  # what finished tasks read may go
                self._sent.clear()
            self._sent[folder] = self._ray.put(pack(folder))
        return self._sent[folder]

    def _unpacked(self, outcome: Outcome, files: Files | None) -> Outcome:
        if files is None:
            return outcome
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        unpack(files, folder)
        return replace(outcome, folder=folder)

    def __exit__(self, *_: Any) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        self._sent.clear()
        if self._started:
            self._ray.shutdown()


def perform_remote(
    task: Task, version: str, roles: list[str], *artefacts: Files
) -> list[tuple[Outcome, Files | None]]:
    """Run a task on a node: unpack its inputs, and pack what it leaves."""
    one_thread()
    here = _versions(task)
    if here != version:
        text = (
            "this node has another version of modiva or of a library than the driver "
            f"({here}, not {version}): install the same on all nodes"
        )
        return [(Outcome(key, error=text), None) for key, _ in task.steps]
    with tempfile.TemporaryDirectory(prefix="modiva-") as name:
        folder = Path(name)
        inputs = {role: folder / f"input-{number}" for number, role in enumerate(roles)}
        for place, files in zip(inputs.values(), artefacts, strict=True):
            place.mkdir()
            unpack(files, place)
        answers: list[tuple[Outcome, Files | None]] = []
        for outcome in perform(task, inputs, folder):
            packed = None
            if outcome.folder is not None:
                packed = pack(outcome.folder)
                shutil.rmtree(outcome.folder)
            # A disk that is full on a node is the node's trouble, not the store's.
            answers.append((replace(outcome, folder=None, disk=None), packed))
    return answers


def pack(folder: Path) -> Files:
    """Return the files of a folder, by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unpack(files: Files, folder: Path) -> None:
    """Write packed files into a folder.

    Raises:
        ModivaError: a path that would lead out of it.
    """
    for name, data in files.items():
        path = folder / name
        if ".." in path.parts or not path.is_relative_to(folder):
            raise ModivaError(f"{name!r} of an artefact leads out of its folder: refused")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _knock(address: str) -> None:
    """Raise OSError where nothing listens at host:port; Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address:
        socket.create_connection((host, int(port)), timeout=10).close()


def _versions(task: Task) -> str:
    """Return the version of all code that a study's steps are made of."""
    module = type(task.steps[0][1]).__module__
    return code_version("plan") if module.startswith("modiva.") else module
