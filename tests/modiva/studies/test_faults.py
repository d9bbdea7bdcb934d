"""A study survives what machines do: kills, full disks, second runs, steps that fail."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import synthetic
from synthetic import CELLS

from modiva.errors import ModivaError
from modiva.studies.engines.debug import DebugEngine
from modiva.studies.run import EngineSettings, run_plan
from modiva.studies.schedule import Schedule
from modiva.studies.store import Store

pytestmark = pytest.mark.slow  # processes are started and killed
FOLDER = Path(__file__).parent


def _records(out):
    return list((out / "steps").glob("*/*.json"))


def _start(out, cells):
    command = [sys.executable, str(FOLDER / "synthetic.py"), str(out), str(cells)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def test_a_study_killed_at_20_random_instants_ends_with_the_same_rows(tmp_path):
    cells, rng, unfinished = 200, random.Random(0), 0
    out = tmp_path / "killed"
    for _ in range(20):
        before = len(_records(out))
        process = _start(out, cells)
        # Most are killed at work, some anywhere from their first instant on.
        at_work = rng.random() < 0.8
        while at_work and process.poll() is None and len(_records(out)) <= before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.15))
        unfinished += process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert unfinished >= 15
    killed = synthetic.run(out, cells)
    whole = synthetic.run(tmp_path / "whole", cells)
    assert killed.computed < whole.computed  # what was finished was used
    assert len(whole.frame()) == cells * 2 * 4
    assert killed.frame().equals(whole.frame())
    assert not list(out.rglob("*.part"))
    assert {p.name for p in (out / "scratch").iterdir()} == set()


def test_workers_do_not_outlive_a_killed_run(tmp_path):
    process = _start(tmp_path / "out", 400)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = []
    while len(workers) < 2 and process.poll() is None:
        workers = [int(pid) for pid in children.read_text().split()]
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_finished_study_computes_nothing_and_makes_no_plan(finished):
    class Planned(synthetic.Plans):
        def make(self):
            pytest.fail("planned again")

    out, rows = finished
    again = run_plan(Planned(CELLS), out, EngineSettings("debug"), progress=False)
    assert (again.computed, again.reused) == (0, CELLS)
    assert again.frame().equals(rows)


def test_a_new_attack_reuses_trained_targets_and_new_cells_compute_only_themselves(finished):
    out, _ = finished
    plans = synthetic.Plans(CELLS, attacks=("a", "b", "c"))
    with pytest.raises(ModivaError, match="other settings"):
        synthetic.run_plan(plans, out, EngineSettings("debug"), progress=False)
    more = synthetic.run_plan(plans, out, EngineSettings("debug"), progress=False, change=True)
    assert more.computed == CELLS  # one attack a cell, no training
    larger = synthetic.run_plan(
        synthetic.Plans(CELLS + 2), out, EngineSettings("debug"),
        progress=False, change=True,
    )  # fmt: skip
    assert larger.computed == 2 * (1 + 2)
    assert larger.reused == CELLS


def test_other_code_of_an_attack_does_not_train_again(finished):
    out, rows = finished
    again = synthetic.run(out, CELLS, version="2")
    assert again.computed == 2 * CELLS
    assert again.frame().equals(rows)


def test_a_second_run_on_the_folder_is_refused_and_the_first_goes_on(tmp_path):
    out = tmp_path / "out"
    first = _start(out, 100)
    while not _records(out) and first.poll() is None:
        time.sleep(0.01)
    with pytest.raises(ModivaError, match="in use by another run"):
        synthetic.run(out, 100)
    assert first.wait(timeout=60) == 0
    again = synthetic.run(out, 100)
    assert again.computed == 0
    assert len(again.frame()) == 100 * 2 * 4


def test_one_failing_step_fails_its_cells_only_and_is_tried_again(tmp_path):
    out, switch = tmp_path / "out", tmp_path / "switch"
    switch.write_text("")
    result = synthetic.run(out, CELLS, fails=str(switch))
    assert len(result.failed) == CELLS
    name, path = result.failed[0]
    assert name == "cell 0"
    assert "this target does not train" in path.read_text()
    assert len(Store(out).failures()) == 3 * CELLS
    switch.unlink()
    again = synthetic.run(out, CELLS, fails=str(switch))
    assert not again.failed
    assert not Store(out).failures()


class Recording(DebugEngine):
    """Keeps the tasks that it runs."""

    def __init__(self, scratch):
        super().__init__(scratch)
        self.tasks = []

    def submit(self, task, inputs):
        self.tasks.append(task)
        super().submit(task, inputs)


def tasks_of(plan, folder):
    """The tasks that a plan needs, once they have run."""
    with Store(folder).locked() as store:
        engine = Recording(store.scratch)
        Schedule(plan, store, "cpu").run(engine, progress=False)
    return engine.tasks


def test_measurements_of_one_target_are_one_task_whatever_else_they_need(tmp_path):
    """So that a target is loaded once, and attacks share what they learn of it."""
    both = synthetic.Plans(4, attacks=("a", "learned")).make()
    tasks = tasks_of(both, tmp_path / "out")
    assert sorted(len(task.steps) for task in tasks) == [1] * 5 + [2] * 4
    pair = next(task for task in tasks if len(task.steps) == 2)
    assert [role for role, _ in pair.needs] == ["target", "learned"]
    # What is there is not measured again.
    tasks_of(synthetic.Plans(4, attacks=("a",)).make(), tmp_path / "other")
    assert [len(task.steps) for task in tasks_of(both, tmp_path / "other")] == [1] * 5


def test_measurements_that_do_not_need_what_failed_are_made(tmp_path):
    out, switch = tmp_path / "out", tmp_path / "switch"
    switch.write_text("")
    result = synthetic.run(out, 4, attacks=("a", "learned"), breaks=str(switch))
    assert len(result.failed) == 4
    assert len(Store(out).failures()) == 1 + 4
    assert len(_records(out)) == 4 + 4  # targets, and the attack "a" on them
    switch.unlink()
    again = synthetic.run(out, 4, attacks=("a", "learned"), breaks=str(switch))
    assert not again.failed
    assert again.computed == 1 + 4


UNGUARDED = """
import sys
sys.path.insert(0, {folder!r})
import synthetic
{guard}synthetic.run({out!r}, 3, 'local')
"""


def test_a_script_without_a_main_guard_is_told_the_remedy(tmp_path):
    script, out = tmp_path / "script.py", tmp_path / "out"
    ended = {}
    for guard in ("", "if __name__ == '__main__': "):
        script.write_text(UNGUARDED.format(folder=str(FOLDER), out=str(out), guard=guard))
        ended[guard] = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        if not guard:
            assert not _records(out)
            assert not Store(out).failures()
    told = ended[""].stderr
    assert ended[""].returncode == 1
    assert told.count("if __name__ == '__main__':") == told.count("Traceback") == 1
    assert ended["if __name__ == '__main__': "].returncode == 0, told
    assert len(_records(out)) == 9


def test_a_worker_that_ends_by_itself_is_not_said_to_be_killed(tmp_path):
    script, out = tmp_path / "script.py", tmp_path / "out"
    guarded = UNGUARDED.format(folder=str(FOLDER), out=str(out), guard="")
    script.write_text(
        guarded.replace(
            "import synthetic\n", "import synthetic\nif __name__ != '__main__': 1 / 0\n"
        )
    )
    subprocess.run(
        [sys.executable, str(script)], capture_output=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    store = Store(out)
    assert all("exit code 1" in str(store.failure(key)) for key in store.failures())
    assert store.failures()


def test_a_task_whose_worker_is_killed_is_given_out_again(tmp_path):
    flag = tmp_path / "died"
    result = synthetic.run(tmp_path / "out", CELLS, "local", dies=str(flag))
    assert flag.exists()
    assert not result.failed
    assert result.frame().equals(synthetic.run(tmp_path / "other", CELLS).frame())


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 KiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if _mount("-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)):
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*arguments):
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "not root"
    return subprocess.run(["mount", *arguments], capture_output=True).returncode


def test_a_full_disk_stops_the_run_and_with_space_again_it_goes_on(small_disk, tmp_path):
    out = small_disk / "out"
    with pytest.raises(OSError, match=r"(?i)no space|full"):
        synthetic.run(out, 60)
    kept = len(_records(out))
    assert kept
    assert not list(out.rglob("*.part"))
    assert _mount("-o", "remount,size=20m", str(small_disk)) == 0
    result = synthetic.run(out, 60)
    assert result.computed <= 180 - kept + 1
    assert result.frame().equals(synthetic.run(tmp_path / "roomy", 60).frame())


def test_a_folder_that_cannot_be_written_is_said_and_can_still_be_told_of(finished):
    from modiva.studies.results import finished_steps

    out, _ = finished
    if _mount("--bind", str(out), str(out)):
        pytest.skip("needs the right to mount a folder read-only")
    try:
        assert _mount("-o", "remount,ro,bind", str(out)) == 0
        with pytest.raises(OSError, match="Read-only"):
            synthetic.run(out, CELLS, version="2")
        assert len(finished_steps(Store(out))) == 3 * CELLS
    finally:
        subprocess.run(["umount", "-l", str(out)], check=True)
