"""A bar of model evaluations for attacks that take no steps which a bar could count."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

_BAR: ContextVar["tqdm[None] | None"] = ContextVar("bar", default=None)


@contextmanager
def evaluations_bar(name: str, progress: bool, total: int | None = None) -> Iterator[None]:
    """Show how many candidates have been scored while the block runs.

    Args:
        name: what the bar is called.
        progress: whether to show it, where a terminal would.
        total: candidates to score, where that is known.
    """
    quiet = None if progress else True
    with tqdm(desc=name, total=total, unit=" candidates", disable=quiet, leave=False) as bar:
        token = _BAR.set(bar)
        try:
            yield
        finally:
            _BAR.reset(token)


def scored(rows: int) -> None:
    """Count candidates that have been scored."""
    bar = _BAR.get()
    if bar is not None:
        bar.update(rows)
