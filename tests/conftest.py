"""Fixtures that every test shares."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora in their original formats; tests that need it skip without it."""
    folder = Path(os.environ.get("MODIVA_CORPORA", REPOSITORY.parent / "shared" / "corpora"))
    if not folder.is_dir():
        pytest.skip(
            f"no real corpora at {folder}: set MODIVA_CORPORA to the folder that holds them"
        )
    return folder


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which no file grows beyond so many bytes, in place of a disk without space."""
    resource = pytest.importorskip("resource", reason="needs a limit on file sizes")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """Steps that run in this process flush denormal numbers, which other tests draw."""
    import torch

    yield
    torch.set_flush_denormal(False)


def pytest_configure(config: pytest.Config) -> None:
    """One thread a process: workers run side by side, and results do not depend on the machine."""
    import torch

    # How long an example takes says how busy the machine is.
    settings.register_profile("modiva", deadline=None)
    settings.load_profile("modiva")
    torch.set_num_threads(1)
