"""The study files of the repository: what they would do is told in a fresh clone, offline."""

import re
from pathlib import Path

import pytest

from modiva.cli import main
from modiva.studies import AuditSpec, load_study

RESULTS = Path(__file__).resolve().parents[3] / "results"
FILES = sorted(RESULTS.rglob("*.yaml"))


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, no corpus but the default one, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODIVA_CORPORA", raising=False)
    monkeypatch.setenv("MODIVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODIVA_BASE_URL", "http://127.0.0.1:9")


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_study_file_is_checked_and_told_of_offline(file, capsys, tmp_path):
    cells = len(load_study(file).cells())
    named = {name for grid in load_study(file).grids for name in grid.corpus}
    if made := [name for name in named if name.startswith("results/runs/")]:
        assert main(["study", "run", str(file), "--dry-run"]) == 2  # a script beside it comes first
        assert f"no file or folder {made[0]!r}" in capsys.readouterr().err
        assert made[0] in (file.parent / "README.md").read_text(encoding="utf-8")
        return
    assert main(["study", "run", str(file), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"^{cells} cells?, [\d,]+ models?", told, re.MULTILINE)
    for name in named - {"home-assistant"}:
        assert f"{name} is not on this machine: a run downloads" in told
    assert main(["study", "status", str(file)]) == 0
    assert re.search(rf"^0 of {cells} cells? finished", capsys.readouterr().out, re.MULTILINE)
    assert not list(tmp_path.iterdir())


def test_there_are_study_files():
    assert len(FILES) >= 8


def test_results_of_a_file_named_study_go_to_a_folder_of_its_folders_name(capsys):
    for name in ("dp_noise", "parikh2022"):
        assert main(["study", "run", str(RESULTS / name / "study.yaml"), "--dry-run"]) == 0
        assert f"results would go to results/runs/{name}\n" in capsys.readouterr().out


def test_folders_of_results_name_their_files_alike():
    overview = (RESULTS / "README.md").read_text(encoding="utf-8")
    for folder in (path for path in RESULTS.iterdir() if path.is_dir() and path.name != "runs"):
        assert (folder / "README.md").is_file()
        assert f"[`{folder.name}`]({folder.name})" in overview
        studies = {path.stem for path in folder.glob("*.yaml")}
        for path in folder.rglob("*"):
            *parents, name = path.relative_to(folder).parts
            if parents and parents[0] in studies:  # of one study of several
                parents = parents[1:]
            if path.is_file() and parents == ["figures"]:
                assert path.suffix == ".png"
            elif path.is_file() and path.suffix not in (".py", ".yaml"):
                assert not parents
                summaries = {f"{study}.csv" for study in studies}
                allowed = {"README.md", "summary.csv", "models.csv", "membership.csv"}
                made = {name for one in folder.glob("*.py") if name in one.read_text()}
                assert name in allowed | summaries | made


def test_the_default_audit_is_the_study_file_beside_its_results():
    assert load_study(RESULTS / "default" / "study.yaml").cells() == AuditSpec().cells()


def test_bad_settings_are_refused_where_the_corpus_is_not_there(tmp_path, capsys):
    file = tmp_path / "study.yaml"
    file.write_text("corpus: banking77\ntarget: lstn\n")
    for command in (["run", str(file), "--dry-run"], ["status", str(file)]):
        assert main(["study", *command]) == 2
        assert "lstn" in capsys.readouterr().err
