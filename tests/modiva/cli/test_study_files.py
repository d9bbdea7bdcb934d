"""The study files of the repository: what they would do is told in a fresh clone, offline."""

import re
from pathlib import Path

import pytest

from modiva.cli import main
from modiva.studies import load_study

RESULTS = Path(__file__).resolve().parents[3] / "results"
FILES = sorted(RESULTS.rglob("*.yaml"))


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, no corpus but the default one, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODIVA_CORPORA", raising=False)
    monkeypatch.setenv("MODIVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODIVA_BASE_URL", "http://127.0.0.1:9")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_study_file_is_checked_and_told_of_offline(file, capsys, tmp_path):
    cells = len(load_study(file).cells())
    assert main(["study", "run", str(file), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"^{cells} cells?, [\d,]+ models?", told, re.MULTILINE)
    named = {name for grid in load_study(file).grids for name in grid.corpus}
    for name in named - {"home-assistant"}:
        assert f"{name} is not on this machine: a run downloads" in told
    assert main(["study", "status", str(file)]) == 0
    assert re.search(rf"^0 of {cells} cells? finished", capsys.readouterr().out, re.MULTILINE)
    assert not list(tmp_path.iterdir())


def test_there_are_study_files():
    assert len(FILES) >= 8


def test_bad_settings_are_refused_where_the_corpus_is_not_there(tmp_path, capsys):
    file = tmp_path / "study.yaml"
    file.write_text("corpus: banking77\ntarget: lstn\n")
    for command in (["run", str(file), "--dry-run"], ["status", str(file)]):
        assert main(["study", *command]) == 2
        assert "lstn" in capsys.readouterr().err
