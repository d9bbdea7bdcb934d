"""How far a study is: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

from modiva.counts import BAR, plural

logger = logging.getLogger(__name__)

# Seconds between two lines where there is no terminal.
INTERVAL = 30.0


class Progress:
    """Counts models that are trained and attacked, and estimates the time left by cost."""

    def __init__(self, models: int, done: int, cost: float, show: bool = True) -> None:
        """Start counting.

        Args:
            models: of the study.
            done: models that need no work.
            cost: estimated seconds of all the work.
            show: False keeps quiet.
        """
        self.done, self.failed, self.running = done, 0, 0
        self._models, self._cost, self._spent = models, cost, 0.0
        self._show, self._terminal = show, show and sys.stderr.isatty()
        self._started = self._said = time.monotonic()
        self._bar = tqdm(
            total=models,
            initial=done,
            desc="models",
            unit="model",
            disable=not self._terminal,
            file=sys.stderr,
            dynamic_ncols=True,
            bar_format=BAR,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.running, self._spent = 0, self._cost
        self._bar.set_postfix_str(self._state(), refresh=True)
        self._bar.close()
        if self._show and not self._terminal:
            self._say()

    def worked(self, cost: float) -> None:
        """Count work that was done, or will never be."""
        self._spent += cost

    def ended(self, models: int) -> None:
        """Count models that were trained and attacked, or could not be."""
        self.done += models
        self._bar.update(models)

    def cell_failed(self) -> None:
        """Count a cell that ended with a step that failed."""
        self.failed += 1

    def tick(self, running: int) -> None:
        """Show the state, where it is time to."""
        self.running = running
        if self._terminal:
            self._bar.set_postfix_str(f"{self._state()}", refresh=True)
        elif self._show and time.monotonic() - self._said >= INTERVAL:
            self._say()

    def _state(self) -> str:
        parts = [f"{self.running} running"] if self.running else []
        if self.failed:
            parts.append(f"{plural(self.failed, 'cell')} failed")
        left = self.seconds_left()
        if self.done == self._models and not self.running:
            parts.append("done")
        elif left is not None:
            parts.append(f"{tqdm.format_interval(left)} left")
        return ", ".join(parts)

    def _say(self) -> None:
        self._said = time.monotonic()
        logger.info("%d of %s: %s", self.done, plural(self._models, "model"), self._state())

    def seconds_left(self) -> float | None:
        """Estimate how long it still takes; None until some work has been done."""
        if self._spent <= 0:
            return None
        elapsed = time.monotonic() - self._started
        return max(self._cost - self._spent, 0.0) / self._spent * elapsed
