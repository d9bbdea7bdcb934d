"""Synthetic steps: imported by name in worker processes, so their folder is on the path."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def run_once(tmp_path_factory):
    """A finished study of synthetic cells, which no test changes, and its rows."""
    import synthetic

    out = tmp_path_factory.mktemp("finished") / "out"
    return out, synthetic.run(out, synthetic.CELLS).frame()


@pytest.fixture
def finished(run_once, tmp_path):
    """A copy of it, times of change included."""
    whole, rows = run_once
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out", rows
