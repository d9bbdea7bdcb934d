"""The programs in results/ run on what is there today."""

import subprocess
import sys
from pathlib import Path

import pytest

TWINS = Path(__file__).parents[1] / "results" / "attacks" / "twins.py"


@pytest.mark.slow
def test_twins_rank_every_model_by_what_the_others_teach():
    options = ["--corpus", "home-assistant", "--target", "cnn", "--models", "4"]
    done = subprocess.run(
        [sys.executable, str(TWINS), *options], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert all(line.endswith("(n = 4)") for line in lines)
    # CNNs of this corpus give their codes away to the margin alone.
    assert "exact 1.00" in next(line for line in lines if line.startswith("margin of the target"))
