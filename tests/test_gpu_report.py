"""The report on a GPU, on a machine without one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

REPORT = Path(__file__).parent / "benchmarks" / "gpu_report.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_nothing_is_run_or_written(tmp_path):
    out = tmp_path / "report.md"
    done = subprocess.run(
        [sys.executable, str(REPORT), "--out", str(out)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no GPU")
    assert not out.exists()
