"""Commands that are killed, interrupted or out of disk at random system calls, then run again.

Whatever happens, the next run has every row as it was measured, leaves the files of others alone,
and nothing ends in a traceback.
"""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from modiva.cli import main
from modiva.studies.folder import MARKER

from .oracle import SCALE, contents

# What Python reports of the system calls that change or read files.
CALLS = {
    "open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.scandir", "os.chmod",
    "os.truncate", "fcntl.flock", "sqlite3.connect", "shutil.rmtree", "tempfile.mkstemp",
    "tempfile.mkdtemp",
}  # fmt: skip
FAULTS = ("kill", "interrupt", "full")
FOREIGN = (
    *("scratch/notes.txt", "artefacts/ab/thesis/a", "studies/notes.json", "failed/why.txt"),
    *(".thesis.tex.abcdefgh.part", "figures/.photo.png.abcdefgh.part", "notes.txt"),
)


@dataclass(frozen=True)
class Ended:
    """Exit code of a command, what it said, and how many system calls it made."""

    code: int
    said: str
    calls: int


def _strike(fault: str) -> None:
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "interrupt":
        raise KeyboardInterrupt
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _command(arguments, folder, fault="", at=0) -> Ended:
    """Run a command in a copy of this process, with a fault at its n-th system call."""
    log, count = folder / "log", folder / "count"
    child = os.fork()
    if child == 0:
        code, seen = 99, 0

        def hook(event, _):
            nonlocal seen
            if event in CALLS:
                seen += 1
                if seen == at:
                    _strike(fault)

        try:
            handle = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            sys.addaudithook(hook)
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            at = 0
            sys.stdout.flush()
            sys.stderr.flush()
            os.write(os.open(count, os.O_CREAT | os.O_WRONLY), str(seen).encode())
            os._exit(code)
    _, status = os.waitpid(child, 0)
    said = log.read_text(errors="replace")
    calls = int(count.read_text()) if count.exists() else 0
    count.unlink(missing_ok=True)
    assert "Traceback" not in said, said
    return Ended(os.waitstatus_to_exitcode(status), said, calls)


@pytest.fixture(scope="module")
def study(made, tmp_path_factory):
    """A finished study among files of others, its file, and its rows."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "study.yaml").write_text(
        f"{{corpus: {made / 'own.csv'}, target: cnn, pattern: color, repetitions: [1, 5], noise: 0,"
        " models: 1, epochs: 1, controls: 1, attack: random}"
    )
    run = ["study", "run", folder / "study.yaml", "--engine", "debug", "--out", folder / "out"]
    # Here, so that what it imports is there in every copy of this process.
    assert main([str(argument) for argument in run]) == 0
    for name in FOREIGN:
        (folder / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "out" / name).write_text("mine")
    return folder, _rows(folder / "out" / "rows.csv")


def _rows(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str).drop(columns="seconds")


def _check(folder, rows, code=0):
    """Run the study again, and compare what is there then."""
    out = folder / "out"
    run = ["study", "run", folder / "study.yaml", "--engine", "debug", "--out", out]
    ended = _command(run, folder)
    assert ended.code == code, ended.said
    pd.testing.assert_frame_equal(_rows(out / "rows.csv"), rows)
    assert (out / "report.html").is_file()
    for name in FOREIGN:
        assert (out / name).read_text() == "mine"
    left = {path.name for path in out.rglob("*.part")} | {p.name for p in out.glob("scratch/*")}
    assert left == {Path(name).name for name in FOREIGN if "part" in name or "scratch" in name}


COMMANDS = {
    "run": ("steps",),  # what is removed before, so that there is work to do
    "again": (),
    "report": (),
    "export": (),
    "verify": (),
    "gc": ("steps",),
}


def _arguments(command, folder):
    file, out = folder / "study.yaml", folder / "out"
    if command == "gc":
        return ["study", "gc", out, "--targets"]
    if command == "verify":
        return ["study", "status", file, "--out", out, "--verify"]
    if command in ("run", "again"):
        return ["study", "run", file, "--engine", "debug", "--out", out]
    return ["study", command, file, "--out", out]


def _copy(study, folder, rng, command):
    shutil.copytree(study[0], folder, dirs_exist_ok=True)
    for name in COMMANDS[command]:
        for path in sorted((folder / "out" / name).glob("*/*.json")):
            if rng.random() < 0.6:
                path.unlink()
    if command == "run" and rng.random() < 0.5:
        (folder / "out" / "index.sqlite").unlink()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_study_after_a_fault_at_a_random_system_call(command, study, tmp_path):
    rng = random.Random(f"{command} {SCALE}")
    for turn in range(2 * max(SCALE, 1)):
        folder = tmp_path / "turn"
        shutil.rmtree(folder, ignore_errors=True)
        _copy(study, folder, rng, command)
        state = rng.getstate()
        calls = _command(_arguments(command, folder), folder).calls
        shutil.rmtree(folder)
        rng.setstate(state)
        _copy(study, folder, rng, command)
        fault, at = rng.choice(FAULTS), rng.randint(1, max(calls, 1))
        ended = _command(_arguments(command, folder), folder, fault, at)
        assert ended.code in (0, 1, 2, 130, -signal.SIGKILL), (turn, fault, at, ended)
        if command == "export":  # a run does not look into its folder
            assert _command(_arguments(command, folder), folder).code == 0
        _check(folder, study[1])


def test_a_new_study_after_a_fault_at_a_random_system_call(study, tmp_path):
    rng = random.Random(f"new {SCALE}")
    for _ in range(3 * max(SCALE, 1)):
        folder = tmp_path / "turn"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(study[0] / "study.yaml", folder)
        command = _arguments("run", folder)
        ended = _command(command, folder, rng.choice(FAULTS), rng.randint(1, 400))
        assert ended.code in (0, 1, 2, 130, -signal.SIGKILL), ended
        assert _command(command, folder).code == 0
        pd.testing.assert_frame_equal(_rows(folder / "out" / "rows.csv"), study[1])


def _damage(data: bytes, rng: random.Random) -> bytes:
    """Return bytes that differ: flipped, cut, zeroed, longer, or other ones."""
    kind, place = rng.choice(["flip", "cut", "zero", "longer", "noise"]), rng.randrange(len(data))
    if kind == "flip":
        return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    if kind == "cut":
        return data[:place]
    if kind == "longer":
        return data + rng.randbytes(rng.randint(1, 5000))
    size = min(rng.choice([1, 16, 4096]), len(data) - place)
    return data[:place] + (bytes(size) if kind == "zero" else rng.randbytes(size)) + (
        data[place + size :]
    )  # fmt: skip


def test_a_study_whose_files_are_damaged_has_the_same_rows(study, tmp_path):
    rng = random.Random(f"damage {SCALE}")
    folder = tmp_path / "turn"
    for _ in range(8 * max(SCALE, 1)):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(study[0], folder)
        out = folder / "out"
        kind = rng.choice(["index.sqlite", "steps/*/*", "studies/*", "artefacts/*/*/**/*",
                           "published.json", "source.txt", MARKER])  # fmt: skip
        mine = {out / name for name in FOREIGN}
        found = [path for path in sorted(out.glob(kind)) if path.is_file() and path not in mine]
        path = rng.choice(found)
        if rng.random() < 0.15:
            path.unlink()
        else:
            stat = path.stat()
            path.write_bytes(_damage(path.read_bytes(), rng))
            if rng.random() < 0.3:  # where neither size nor time tells
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        if kind.startswith("artefacts"):  # so that the artefact is needed
            for step in out.glob("steps/*/*"):
                if b'"kind": "attack"' in step.read_bytes():
                    step.unlink()
        shown = _command(["study", "export", folder / "study.yaml", "--out", out], folder)
        assert shown.code in (0, 2), shown
        if shown.code == 0:
            exported = _rows(out / "export" / "rows.csv")
            both = exported.merge(study[1], how="left", indicator=True)
            assert (both["_merge"] == "both").all()
            assert len(exported) == len(study[1]) or kind.startswith("steps")
        assert _command(_arguments("verify", folder), folder).code == 0
        _check(folder, study[1])


def test_train_after_a_fault_at_a_random_system_call(made, tmp_path):
    rng = random.Random(f"train {SCALE}")
    flags = ["--corpus", made / "own.csv", "--target", "cnn", "--size", "small", "--epochs", "1",
             "--pattern", "call"]  # fmt: skip
    train = ["train", *flags, "--out", tmp_path / "whole"]
    calls = _command(train, tmp_path).calls
    whole = contents(tmp_path / "whole")
    ledger = (tmp_path / "whole.ledger.json").read_bytes()
    for _ in range(8 * max(SCALE, 1)):
        folder = tmp_path / "turn"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        out = folder / "target"
        again = ["train", *flags, "--out", out]
        ended = _command(again, folder, rng.choice(FAULTS), rng.randint(1, calls))
        assert ended.code in (0, 2, 130, -signal.SIGKILL), ended
        if not out.exists():
            ended = _command(again, folder)
            assert ended.code == 0, ended.said
        kept = contents(out)
        assert kept.keys() == whole.keys()
        assert kept["model.safetensors"] == whole["model.safetensors"]
        assert (folder / "target.ledger.json").read_bytes() == ledger
        assert (folder / "target.questions.json").is_file()
        assert not list(folder.glob(".*"))


@pytest.mark.parametrize(("engine", "turns"), [("debug", 2), ("local", 1)])
def test_ctrl_c_at_a_random_instant_is_one_line(engine, turns, study, tmp_path):
    rng = random.Random(f"{engine} {SCALE}")
    shutil.copytree(study[0], tmp_path / "turn")
    out = tmp_path / "turn" / "out"
    command = ["study", "run", tmp_path / "turn" / "study.yaml", "--out", out, "--workers", "1",
               "--engine", engine]  # fmt: skip
    for turn in range(turns * max(SCALE, 1)):
        for path in out.glob("steps/*/*"):
            path.unlink()
        # Python itself, before it runs anything of ours, takes the first hundredths of a second.
        process = subprocess.Popen(
            [sys.executable, "-X", "frozen_modules=on", "-c", "print(flush=True);"
             "from modiva.__main__ import main; raise SystemExit(main())", *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        time.sleep(0.02 + rng.random() * (6 if (turn + turns) % 3 else 0.4))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # every process of the terminal
        said = process.communicate(timeout=300)[1]
        assert process.returncode in (0, 130, -signal.SIGINT), said
        assert "Traceback" not in said, said
    _check(tmp_path / "turn", study[1])
