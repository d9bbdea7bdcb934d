"""How far a study is: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

logger = logging.getLogger(__name__)

# Seconds between two lines where there is no terminal.
INTERVAL = 30.0


class Progress:
    """Counts cells that are done, running and failed, and tells the time left from their costs."""

    def __init__(self, cells: int, done: int, cost: float, show: bool = True) -> None:
        """Start counting.

        Args:
            cells: of the study.
            done: cells that need no work.
            cost: estimated seconds of all the work.
            show: False keeps quiet.
        """
        self.done, self.failed, self.running = done, 0, 0
        self._cells, self._cost, self._spent = cells, cost, 0.0
        self._show, self._terminal = show, show and sys.stderr.isatty()
        self._started = self._said = time.monotonic()
        self._bar = tqdm(
            total=cells,
            initial=done,
            desc="cells",
            unit="cell",
            disable=not self._terminal,
            file=sys.stderr,
            dynamic_ncols=True,
            bar_format="{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}{postfix}",
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._bar.close()
        if self._show and not self._terminal:
            self._say()

    def worked(self, cost: float) -> None:
        """Some work was done, or will never be."""
        self._spent += cost

    def cell(self, failed: bool) -> None:
        """A cell has ended."""
        self.failed += failed
        self.done += not failed
        self._bar.update(1)

    def tick(self, running: int) -> None:
        """Show the state, where it is time to."""
        self.running = running
        if self._terminal:
            self._bar.set_postfix_str(f"{self._state()}", refresh=True)
        elif self._show and time.monotonic() - self._said >= INTERVAL:
            self._say()

    def _state(self) -> str:
        parts = [f"{self.running} running"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        left = self.seconds_left()
        if left is not None:
            parts.append(f"{tqdm.format_interval(left)} left")
        return ", ".join(parts)

    def _say(self) -> None:
        self._said = time.monotonic()
        logger.info("%d of %d cells done, %s", self.done, self._cells, self._state())

    def seconds_left(self) -> float | None:
        """About how long it still takes; None until some work has been done."""
        if self._spent <= 0:
            return None
        elapsed = time.monotonic() - self._started
        return max(self._cost - self._spent, 0.0) / self._spent * elapsed
