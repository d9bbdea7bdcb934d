"""Engine `debug`: every task in this process, so that a debugger or a test sees inside it."""

from collections.abc import Mapping
from pathlib import Path

from modiva.studies.engines.task import Engine, Outcome, Task, perform


class DebugEngine(Engine):
    """Runs a task when it is submitted, one at a time."""

    slots = 1

    def __init__(self, scratch: Path) -> None:
        """Start nothing.

        Args:
            scratch: an existing folder for artefacts that are not finished.
        """
        self._scratch = scratch
        self._outcomes: list[Outcome] = []

    def submit(self, task: Task, inputs: Mapping[str, Path]) -> None:
        """Run the task."""
        self._outcomes += perform(task, inputs, self._scratch)

    def wait(self, seconds: float) -> list[Outcome]:
        """Return the outcomes of what was submitted since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def __exit__(self, *_: object) -> None:
        """Nothing runs on."""
