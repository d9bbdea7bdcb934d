"""The store: its studies share it, its garbage is found, its rows come back as they were."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import synthetic

from modiva.errors import ModivaError
from modiva.studies.engines.task import Outcome
from modiva.studies.garbage import collect
from modiva.studies.results import finished_steps
from modiva.studies.store import Store

KEY = "0123456789abcdef01234567"
ROWS = [
    {"exact": 1, "secret": "0 0 4 2", "epsilon": None, "exposure": 0.1, "hits": "1111"},
    {"exact": 0, "secret": 'drop "table', "epsilon": None, "exposure": 1 / 3, "hits": "0000"},
]


def _state(folder):
    """Everything in a folder: name, kind, content, time of change."""
    return {
        path: (path.is_symlink(), path.is_file() and path.read_bytes(), path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def test_what_is_written_is_read_and_indexed(tmp_path):
    with Store(tmp_path).locked() as store:
        store.write("attack", Outcome(KEY, ROWS, 1.5))
        record = store.read(KEY)
        assert record is not None
        assert record["rows"] == ROWS
        assert store.read("f" * 24) is None
        columns = ["secret", "exposure", "epsilon", "hits"]
        (block,) = store.index.select("attack", [(3, 4, KEY)], columns)
        assert block == [(3, 4, row["secret"], row["exposure"], None, row["hits"]) for row in ROWS]


def test_columns_that_come_later_are_empty_before(tmp_path):
    other = "f" * 24
    with Store(tmp_path).locked() as store:
        store.write("attack", Outcome(KEY, ROWS))
        store.write("attack", Outcome(other, [{"rank": 7, 'a "quoted" name; --': 1}]))
        (block,) = store.index.select(
            "attack", [(0, 0, KEY), (1, 0, other)], ["exact", "rank", 'a "quoted" name; --']
        )
    assert sorted(block, key=lambda row: (row[0], row[2] is None, row[2])) == [
        (0, 0, 0, None, None), (0, 0, 1, None, None), (1, 0, None, 7, 1),
    ]  # fmt: skip


def test_rows_of_two_kinds_of_step_do_not_share_columns(tmp_path):
    other = "f" * 24
    with Store(tmp_path).locked() as store:
        store.write("attack", Outcome(KEY, ROWS))
        store.write("train", Outcome(other, [{"train_accuracy": 0.5}]))
    for index in (Store(tmp_path).index, Store(tmp_path).index):
        assert index.columns("train") == ["train_accuracy"]
        assert index.columns("attack") == [*ROWS[0]]
        assert index.columns("fit") == []
        asked = [(0, 0, KEY), (1, 0, other)]
        assert list(index.select("train", asked, ["train_accuracy"])) == [[(1, 0, 0.5)]]
        assert list(index.select("fit", asked, [])) == []


def test_numbers_and_texts_keep_their_types(tmp_path):
    frame = synthetic.run(tmp_path / "out", 4).frame()
    assert frame["exact"].dtype.kind == "i"
    assert frame["exposure"].dtype.kind == "f"
    assert np.isnan(frame["epsilon"]).sum() == len(frame) / 2
    assert all(isinstance(secret, str) for secret in frame["secret"])
    assert list(frame["cell"].unique()) == ["c0", "c1", "c2", "c3"]
    assert list(frame["repetitions"].unique()) == [0, 1, 2, 3]  # of the cell, not of the step
    some = synthetic.run(tmp_path / "out", 4).frame(["exact", "target"])
    assert set(some.columns) == {"exact", "target", "cell"}
    assert some["exact"].equals(frame["exact"])


def test_studies_of_one_store_share_steps_and_gc_removes_what_none_uses(tmp_path):
    store = tmp_path / "store"
    engine = synthetic.EngineSettings("debug")

    def run(name, attacks):
        plans = synthetic.Plans(5, attacks=attacks)
        return synthetic.run_plan(plans, tmp_path / name, engine, store=store, progress=False)

    assert run("one", ("a",)).computed == 10
    assert run("two", ("a", "b")).computed == 5
    assert collect(Store(store)) == (0, 0)
    shutil.rmtree(tmp_path / "two")
    for dry_run in (True, False):
        with pytest.raises(ModivaError, match=r"not found in .*two.*--gone"):
            collect(Store(store), dry_run=dry_run)
    before = _state(tmp_path)
    count, size = collect(Store(store), dry_run=True, gone=True)
    assert (count, size > 0) == (5, True)
    assert _state(tmp_path) == before
    assert collect(Store(store), gone=True) == (count, size)
    assert collect(Store(store)) == (0, 0)
    assert run("one", ("a",)).computed == 0
    _, size = collect(Store(store), targets=True)
    assert size > 0
    assert run("one", ("a",)).computed == 0
    assert run("three", ("a", "b")).computed == 5 + 5  # attacked, and trained for it again
    assert Store(store).verify() == (0, 0)


def test_gc_removes_nothing_where_it_cannot_know(tmp_path):
    with pytest.raises(ModivaError, match="is no store"):
        collect(Store(tmp_path))
    synthetic.run(tmp_path / "out", 2)
    (tmp_path / "out" / "studies" / "self.json").write_text("{")
    with pytest.raises(ModivaError, match="damaged"):
        collect(Store(tmp_path / "out"))
    assert len(finished_steps(Store(tmp_path / "out"))) == 6


def test_verify_finds_damage_that_size_and_time_do_not_show(tmp_path):
    import os

    out = tmp_path / "out"
    rows = synthetic.run(out, 4).frame()
    weights = next(out.glob("artefacts/*/*/model/weights"))
    record = next(p for p in out.glob("steps/*/*.json") if json.loads(p.read_text())["rows"])
    for path in (weights, record):
        stat = path.stat()
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert Store(out).verify() == (2, 0)
    assert synthetic.run(out, 4).frame().equals(rows)


@pytest.mark.parametrize("where", ["--out", "--store"])
def test_a_folder_of_something_else_is_refused(tmp_path, where):
    (tmp_path / "thesis.tex").write_text("important")
    plans, engine = synthetic.Plans(1), synthetic.EngineSettings("debug")
    for folder in (tmp_path, tmp_path / "thesis.tex"):
        places = (folder, None) if where == "--out" else (tmp_path / "new", folder)
        with pytest.raises(ModivaError, match=r"not empty|is a file"):
            synthetic.run_plan(plans, places[0], engine, store=places[1], progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_state_of_a_study_is_told_without_pytorch():
    code = (
        "import sys, modiva.cli, modiva.cli.study\n"
        "loaded = {'torch', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_progress_tells_models_and_the_time_left(caplog):
    from modiva.studies.progress import Progress

    with caplog.at_level("INFO"), Progress(models=10, done=2, cost=8.0) as bar:
        assert bar.seconds_left() is None
        time.sleep(0.05)
        bar.worked(2.0)
        bar.ended(3)
        assert bar.done == 5
        assert bar.seconds_left() >= 3 * 0.05
        bar.cell_failed()
        bar.tick(1)
        bar.worked(6.0)
        bar.ended(5)
    assert caplog.messages == ["10 of 10 models: 1 cell failed, done"]


def test_a_study_ends_at_all_its_models(tmp_path, caplog):
    plans, engine = synthetic.Plans(3), synthetic.EngineSettings("debug")
    for first in (True, False):  # the second run finds nothing to do
        caplog.clear()
        with caplog.at_level("INFO", "modiva.studies.progress"):
            synthetic.run_plan(plans, tmp_path / "out", engine)
        told = [message for message in caplog.messages if "models" in message]
        assert told[-1:] == (["3 of 3 models: done"] if first else [])
    switch = tmp_path / "switch"
    switch.write_text("")
    with caplog.at_level("INFO", "modiva.studies.progress"):
        broken = synthetic.Plans(3, fails=str(switch), version="2")
        synthetic.run_plan(broken, tmp_path / "broken", engine)
    assert caplog.messages[-1] == "3 of 3 models: 3 cells failed, done"
