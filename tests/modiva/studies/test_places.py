"""What is a store and what is not: files of others stay, whatever they are called."""

import json
import os
import sqlite3
from pathlib import Path

import pytest
import synthetic

from modiva.cli import main
from modiva.errors import ModivaError
from modiva.files import exclusive
from modiva.published import withdraw, write_published
from modiva.studies.folder import MARKER
from modiva.studies.garbage import collect
from modiva.studies.index import Index
from modiva.studies.results import Results, finished_steps
from modiva.studies.run import EngineSettings, run_plan
from modiva.studies.store import Store

KEY = "0123456789abcdef01234567"
HERE = EngineSettings("debug")


@pytest.fixture
def start():
    """Runs a small study; returns its result."""

    def start(out, cells=2, store=None, **settings):
        keywords = {n: settings.pop(n) for n in ("change", "source", "finish") if n in settings}
        plans = synthetic.Plans(cells, work=0, **settings)
        return run_plan(plans, out, HERE, store=store, progress=False, **keywords)

    return start


def _state(folder):
    """Everything in a folder: its name, what it is, its content."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else
        path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip


def _strange(folder):
    """Files of somebody else under the names of a store's."""
    for name in ("scratch/notes.txt", "scratch/mine/a", "artefacts/ab/thesis/a", "artefacts/notes",
                 f"artefacts/ff/{KEY}/a", "failed/why.txt", "studies/plan.json", "steps/01/notes",
                 ".thesis.tex.abcdefgh.part", "figures/.photo.png.abcdefgh.part", "figures/own.png",
                 "index.sqlite-notes"):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")


@pytest.mark.parametrize(
    "command",
    [
        "study status {file} --out new --store {folder}",
        "study status {file} --out {folder} --verify",
        "study report {file} --out {folder}",
        "study export {file} --out new --store {folder}",
        "study run {file} --out {folder}",
        "study run {file} --out new --store {folder}",
        "study gc {folder} --dry-run",
        "study gc {folder}",
        "study gc {folder} --targets --gone",
        "audit --corpus own.csv --target cnn --sentences 0 --epochs 1 --out {folder}",
        "audit --corpus own.csv --target cnn --sentences 0 --epochs 1 --change --out {folder}",
    ],
)
def test_a_folder_with_the_names_of_a_store_is_left_alone(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _strange(tmp_path / "folder")
    (tmp_path / "folder" / "settings.json").write_text('{"editor.fontSize": 12}')
    rows = "".join(f"open the door {n},open\nclose it {n},close\n" for n in range(9))
    (tmp_path / "own.csv").write_text(f"text,intent\n{rows}")
    (tmp_path / "study.yaml").write_text("{corpus: own.csv, target: cnn, sentences: 0, epochs: 1}")
    before = _state(tmp_path)
    code = main(command.format(file="study.yaml", folder="folder").split())
    assert code == (0 if command.endswith("--store {folder}") and "status" in command else 2)
    assert _state(tmp_path) == before
    assert "Traceback" not in capsys.readouterr().err


def test_files_of_others_in_a_store_stay(tmp_path, start):
    out = tmp_path / "out"
    start(out)
    _strange(out)
    mine = {name for name, content in _state(out).items() if content == b"mine"}
    left = out / "scratch" / f"{KEY}-0123456789ab"
    left.mkdir()
    (left / "weights").write_text("half")
    start(out, version="2")
    assert not left.exists()
    collect(Store(out), targets=True)
    for step in (out / "steps").glob("*/*.json"):
        step.unlink()
    start(out, version="3")
    assert {name for name, content in _state(out).items() if content == b"mine"} == mine


def test_what_only_reads_changes_nothing(tmp_path, start):
    out = tmp_path / "out"
    result = start(out)
    (out / "scratch" / f"{KEY}.json").write_text("half")
    (out / "index.sqlite-journal").write_text("")
    step = next((out / "steps").glob("*/*.json"))
    step.write_text(step.read_text()[:-9])
    before = _state(tmp_path)
    assert len(finished_steps(Store(out))) == 5
    Results(result.plan, Store(out)).frame()
    Results(result.plan, Store(out)).confirm()
    assert collect(Store(out), dry_run=True) == (0, 0)
    assert _state(tmp_path) == before


def test_a_store_of_version_0_2_is_known_by_a_plan_and_marked_by_its_next_run(tmp_path, start):
    out = tmp_path / "out"
    start(out)
    (out / MARKER).unlink()
    (out / "source.txt").unlink()
    assert Store(out).is_store()
    assert collect(Store(out), dry_run=True) == (0, 0)
    assert not (out / MARKER).exists()
    assert start(out).computed == 0
    assert (out / MARKER).is_file()
    for path in (out / MARKER, *(out / "studies").glob("*.json")):
        path.write_text("something else")
    assert not Store(out).is_store()
    with pytest.raises(ModivaError, match=f"neither the file {MARKER}"):
        collect(Store(out))


def test_gc_knows_studies_through_links_and_moves(tmp_path, start):
    real, store = tmp_path / "a" / "b" / "store", tmp_path / "store"
    real.mkdir(parents=True)
    store.symlink_to(real)
    start(tmp_path / "out", store=store)
    steps = finished_steps(Store(real))
    for seen in (store, real):
        assert collect(Store(seen)) == (0, 0)
    moved = tmp_path / "elsewhere" / "far" / "store"
    moved.parent.mkdir(parents=True)
    real.rename(moved)
    assert collect(Store(moved)) == (0, 0)
    both = tmp_path / "both"
    both.mkdir()
    (tmp_path / "out").rename(both / "out")
    with pytest.raises(ModivaError, match="are not found in"):
        collect(Store(moved))
    assert finished_steps(Store(moved)) == steps
    for plan in (moved / "studies").glob("*.json"):
        plan.unlink()
    with pytest.raises(ModivaError, match="no plan"):
        collect(Store(moved))
    assert collect(Store(moved), gone=True)[0] == len(steps)


def test_an_artefact_that_is_a_link_is_made_again_once_and_its_files_stay(tmp_path, start):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    rows = start(out).frame()
    elsewhere.mkdir()
    for folder in list(out.glob("artefacts/*/*")):
        folder.rename(elsewhere / folder.name)
        folder.symlink_to(elsewhere / folder.name)
    assert start(out, version="2").computed == 4  # attacked only: the links lead to what is whole
    for weights in elsewhere.glob("*/model/weights"):
        weights.write_bytes(b"damaged")
    before = _state(elsewhere)
    again = start(out, version="3")
    assert again.computed == 4 + 2
    assert again.frame().equals(rows)
    assert start(out, version="4").computed == 4
    collect(Store(out), targets=True)
    assert _state(elsewhere) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_artefact_that_cannot_be_read_is_not_discarded(tmp_path, start):
    out = tmp_path / "out"
    start(out)
    weights = next(out.glob("artefacts/*/*/model/weights"))
    weights.chmod(0)
    with pytest.raises(PermissionError):
        start(out, version="2")
    assert weights.exists()


def test_an_artefact_with_a_loop_of_links_is_said_and_not_discarded(tmp_path, start):
    out = tmp_path / "out"
    start(out)
    weights = next(out.glob("artefacts/*/*/model/weights"))
    weights.unlink()
    weights.symlink_to(weights)
    with pytest.raises(OSError, match="weights"):
        start(out, version="2")
    assert weights.is_symlink()


def test_results_of_other_settings_go_before_the_new_settings_come(tmp_path, start):
    out = tmp_path / "out"
    start(out)
    for name in ("rows.csv", "report.html", "figures/a.png"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("old")
    write_published(out, "state", ["rows.csv", "report.html", "figures/a.png"])
    (out / "notes.txt").write_text("mine")
    start(out)
    assert (out / "rows.csv").exists()  # the same settings
    start(out, cells=3, change=True)
    for name in ("rows.csv", "report.html", "figures/a.png", "published.json"):
        assert not (out / name).exists()
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["/etc/passwd", "../notes.txt", 3])
def test_a_list_of_results_leads_nowhere_else(name, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    (out / "published.json").write_text(json.dumps({"state": "x", "files": [name]}))
    withdraw(out)
    assert (tmp_path / "notes.txt").exists()
    assert Path("/etc/passwd").exists()


def test_two_study_files_do_not_replace_each_other(tmp_path, start):
    out, first, second = tmp_path / "out", tmp_path / "a" / "x.yaml", tmp_path / "b" / "x.yaml"
    for file in (first, second):
        file.parent.mkdir()
        file.write_text("a study")
    start(out, source=first)
    before = _state(out)
    with pytest.raises(ModivaError, match=r"holds the results of .*a/x\.yaml"):
        start(out, cells=3, change=True, source=second)
    assert _state(out) == before
    assert start(out, source=second).computed == 0  # the same settings: nothing is replaced
    assert start(out, cells=3, change=True, source=first).computed == 3
    first.rename(tmp_path / "moved.yaml")
    assert start(out, change=True, source=second).computed == 0


def test_one_folder_of_results_is_held_whatever_the_store(tmp_path, start):
    out, seen = tmp_path / "out", []

    def second(result):
        with pytest.raises(ModivaError, match="in use by another run"):
            start(out, store=tmp_path / "two")
        with pytest.raises(ModivaError, match="in use by another run"):
            start(tmp_path / "other", store=tmp_path / "one")
        with result.store.results(out):  # publishing is inside
            seen.append(len(result.frame()))

    start(out, store=tmp_path / "one", finish=second)
    assert seen == [16]
    with exclusive(out), pytest.raises(ModivaError, match="in use"):
        start(out, store=tmp_path / "one")
    assert start(out, store=tmp_path / "one").computed == 0


def test_rows_that_are_others_in_a_sealed_index_are_found(tmp_path, start, caplog):
    out = tmp_path / "out"
    result = start(out)
    rows = result.frame()

    def forge(statement):
        index = Index(out / "index.sqlite")
        index.drop(["no such step"])
        with index._transaction() as run:
            run(statement)
        index.save(out / "scratch")
        index.close()
        caplog.clear()

    forge('DELETE FROM "rows of attack" WHERE position = 0 AND step = (SELECT MAX(id) FROM steps)')
    results = Results(result.plan, Store(out))
    assert len(results.frame()) < len(rows)
    results.confirm()
    Store(out).verify()
    for statement, differing in (
        ('DELETE FROM "rows of attack" WHERE position = 0', 4),
        ("UPDATE steps SET digest = 'x' WHERE kind = 'attack'", 0),
        ('UPDATE "rows of attack" SET exact = 7', 4),
    ):
        forge(statement)
        if "exact" not in statement:  # numbers of rows and checksums are compared
            with Store(out).locked() as store:
                results = Results(result.plan, store)
                results.confirm()
                assert results.frame().equals(rows)
                assert caplog.text.count("read again") == 4
            forge(statement)
        assert Store(out).verify() == (0, differing)
        assert Results(result.plan, Store(out)).frame().equals(rows)


def test_an_index_that_fails_while_it_is_read_is_rebuilt(tmp_path, start, caplog):
    out = tmp_path / "out"
    result = start(out)
    rows = result.frame()
    store = Store(out)
    assert store.finished()
    with (out / "index.sqlite").open("r+b") as file:  # after its checksum was compared
        file.truncate(4096)
    results = Results(result.plan, store)
    assert results.frame().equals(rows)
    assert "rebuilt from the steps" in caplog.text
    with pytest.raises(sqlite3.Error):
        sqlite3.connect(out / "index.sqlite").execute("SELECT * FROM steps").fetchall()
