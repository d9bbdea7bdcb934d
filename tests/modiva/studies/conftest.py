"""Synthetic steps are imported by name in worker processes, so their folder is on the path."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.fixture(autouse=True)
def synthetic_steps(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
