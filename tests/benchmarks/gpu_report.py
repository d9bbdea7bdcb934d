"""Run the tests and the benchmarks on a GPU and write one report: `make gpu-report`.

The report has the machine, the versions, what each command printed and whether it passed. It is
written after every part, so that a run that is cut short leaves what it has. Without a GPU nothing
is run and no file is written.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch

from modiva.files import write_text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LIBRARIES = ("torch", "transformers", "numpy", "peft", "modiva")
PARTS = {
    "Tests": ["-m", "pytest", "-m", "gpu", "-n", "0", "-q", "-rs", str(ROOT / "tests")],
    "Private step over ordinary step": [str(HERE / "bench_dp_step.py"), "--device", "cuda"],
    "Models side by side": [str(HERE / "bench_stacks.py"), "--device", "cuda"],
    "Private models side by side": [str(HERE / "bench_stacks.py"), "--device", "cuda", "--private"],
    "Exhaustive scoring": [str(HERE / "bench_exhaustive.py"), "--device", "cuda"],
}


def machine() -> str:
    """Return lines on the GPU, the machine and the versions."""
    gpu = torch.cuda.get_device_properties(0)
    lines = [
        f"GPU: {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, "
        f"compute capability {gpu.major}.{gpu.minor}; {torch.cuda.device_count()} in all",
        f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}",
        f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    ]
    return "\n".join(f"- {line}" for line in lines)


def run(command: list[str]) -> tuple[bool, str]:
    """Run Python with these arguments; return whether it passed, and a section of the report."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    passed = done.returncode == 0
    seconds = time.perf_counter() - started
    printed = done.stdout if passed else done.stdout + done.stderr
    head = f"{'passed' if passed else f'FAILED (exit code {done.returncode})'} in {seconds:.0f} s"
    return passed, f"{head}\n\n```\n{printed.strip()}\n```"


def main() -> int:
    """Run every part, write the report; return 0 where all passed, 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-report.md"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(
            f"no GPU: torch {torch.__version__} finds no CUDA device, so nothing was run and "
            "no report was written; use a machine with one, and a build of torch for CUDA",
            file=sys.stderr,
        )
        return 2
    sections, failed = [f"# modiva on a GPU\n\n{machine()}"], []
    for title, command in PARTS.items():
        print(f"{title} ...", flush=True)
        passed, text = run(command)
        failed += [] if passed else [title]
        sections.append(f"## {title}: {text}")
        write_text(options.out, "\n\n".join(sections) + "\n")
    print(f"{options.out}: {', '.join(failed) + ' failed' if failed else 'all passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
