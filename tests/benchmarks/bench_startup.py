"""What starting costs: processor time and peak memory of commands that only tell something.

    python tests/benchmarks/bench_startup.py [--repeat 3] [--imports 0]

The medians of several runs; with --imports 10 also the ten slowest imports of each command.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = (
    "--version",
    "--help",
    "attack --help",
    "audit --help",
    "train --help",
    "score --help",
    "ranker fit --help",
    "privacy --help",
    "corpus list",
    "study --help",
    "study status study.yaml",
)


def run(words: list[str], folder: str) -> tuple[float, float]:
    """Processor seconds and peak MiB of one process."""
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024  # KiB on Linux


def slowest_imports(words: list[str], folder: str, count: int) -> list[str]:
    """The modules whose import takes longest, with what they import: lines of -X importtime."""
    ended = subprocess.run(
        [words[0], "-X", "importtime", *words[1:]],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line for line in ended.stderr.splitlines() if line.count("|") == 2]
    return sorted(lines[1:], key=lambda line: -int(line.split("|")[1]))[:count]


def main() -> None:
    """Measure every command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--imports", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "study.yaml").write_text("target: [cnn, lstm]\nattack: coordinate\n")
        print(f"{'command':<26}{'CPU s':>8}{'peak MiB':>10}")
        for command in COMMANDS:
            words = [sys.executable, "-m", "modiva", *command.split()]
            runs = [run(words, folder) for _ in range(arguments.repeat)]
            seconds, memory = map(statistics.median, zip(*runs, strict=True))
            print(f"{command:<26}{seconds:>8.2f}{memory:>10.0f}", flush=True)
            for line in slowest_imports(words, folder, arguments.imports):
                print(f"    {line}")


if __name__ == "__main__":
    main()
