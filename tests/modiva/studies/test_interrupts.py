"""A run that is interrupted loses no row; a value that no table holds ends its step alone."""

import random
import shutil
import sys
from pathlib import Path

import pytest

from modiva.studies import index, run, schedule, store
from modiva.studies.engines.task import Context, Task, perform
from modiva.studies.run import EngineSettings, run_plan
from modiva.studies.store import Store

FILES = {module.__file__ for module in (index, run, schedule, store)}
CELLS, ROWS = 3, 5


class Interrupt:
    """Raises KeyboardInterrupt before the n-th line that runs in the code of a store."""

    def __init__(self, at, files=FILES):
        self.at, self.files, self.lines, self.before = at, files, 0, None

    def __call__(self, frame, event, _):
        return self.line if frame.f_code.co_filename in self.files else None

    def line(self, frame, event, _):
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                self.before = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self.line

    def __enter__(self):
        self.kept = sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, kind, *_):
        sys.settrace(self.kept)
        return kind is KeyboardInterrupt


@pytest.fixture
def study(tmp_path):
    import synthetic

    def start(name):
        plans = synthetic.Plans(CELLS, work=0, rows=ROWS)
        return run_plan(plans, tmp_path / name, EngineSettings("debug"), progress=False)

    return start


def _interrupted(study, tmp_path, files, turns, rng):
    whole = study("whole").frame()
    with Interrupt(0, files) as counted:
        study("counted")
    for at in sorted(rng.sample(range(1, counted.lines + 1), turns)):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        with Interrupt(at, files) as stopped:
            study("out")
        assert stopped.before
        again = study("out").frame()
        assert len(again) == CELLS * 2 * ROWS, stopped.before
        assert again.equals(whole), stopped.before


def test_an_interrupt_between_a_step_and_its_rows_loses_none(study, tmp_path):
    _interrupted(study, tmp_path, {index.__file__}, 12, random.Random(0))


@pytest.mark.slow
def test_an_interrupt_at_any_line_loses_no_row(study, tmp_path):
    _interrupted(study, tmp_path, FILES, 60, random.Random(1))


KEY = "0123456789abcdef01234567"


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 10**20, -(10**30), 10**300])
def test_a_size_beyond_64_bits_is_kept_and_read_again_without_an_index(size, tmp_path):
    from modiva.studies.engines.task import Outcome

    rows = [{"space_size": size, "exact": 1}, {"space_size": 7, "exact": 0}]
    with Store(tmp_path).locked() as held:
        held.write("attack", Outcome(KEY, rows))
    for _ in range(2):
        read = Store(tmp_path)
        (block,) = read.index.select("attack", [(0, 0, KEY)], ["space_size", "exact"])
        assert block == [(0, 0, size if abs(size) < 2**63 else float(size), 1), (0, 0, 7, 0)]
        assert read.index.digests().keys() == {KEY}
        record = read.read(KEY)
        assert record is not None
        assert record["rows"] == rows
        read.close()
        (tmp_path / "index.sqlite").unlink(missing_ok=True)


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), "\ud800", [1], b"x"])
def test_a_value_that_no_table_holds_ends_its_step_alone(value, tmp_path):
    def odd(context: Context):
        return [{"exact": 1, "secret": value}]

    def plain(context: Context):
        return [{"exact": 1, "secret": "x"}]

    task = Task((("a" * 24, odd), ("b" * 24, plain)))  # type: ignore[arg-type]
    first, second = perform(task, {}, tmp_path)
    assert "secret" in str(first.error)
    assert "table cannot hold" in str(first.error)
    assert second.rows == plain(None)  # type: ignore[arg-type]
