"""What a run leaves: rows of models beside rows of secrets, and results where nothing attacks."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from modiva.report import publish
from modiva.studies import AuditSpec, EngineSettings, Study, run_study

GRID = {
    "target": ("cnn",),
    "size": "small",
    "pattern": ("call",),
    "repetitions": (10,),
    "sentences": 100,
    "epochs": 2,
    "models": 2,
}


def run(folder, *grids):
    study = Study(tuple(AuditSpec(**{**GRID, **grid}) for grid in grids))
    result = run_study(study, folder, EngineSettings("debug"), progress=False)
    assert not result.failed
    return result, publish(result, folder, "modiva study run study.yaml")


def test_a_study_without_attacks_is_a_page_of_accuracy_by_condition(tmp_path):
    result, (table, sentence) = run(
        tmp_path / "out", {"noise": (0.0, 1.0), "attack": ()}, {"epsilon": (3.0,), "attack": ()}
    )
    assert result.frame().empty
    models = pd.read_csv(tmp_path / "out" / "models.csv")
    assert list(models["target_epsilon"].dropna()) == [3.0, 3.0]
    assert (models["noise_multiplier"] > 0).sum() == 4
    assert models.loc[models["noise_multiplier"] == 0, "clipped"].isna().all()
    assert models.loc[models["noise_multiplier"] > 0, "clipped"].between(0, 1).all()
    assert set(models["planting"]) == {"call × 10"}
    for row in models.to_dict("records"):
        assert row["seconds_per_step"] == pytest.approx(row["seconds"] / row["steps"])
    for name in ("no defense", "DP σ = 1", "DP ε = 3"):
        assert name in table
    assert sentence == "6 models trained, none attacked."
    groups = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [group["n_models"] for group in groups] == [2, 2, 2]
    assert not (tmp_path / "out" / "rows.csv").exists()
    assert sentence in (tmp_path / "out" / "report.html").read_text()
    again = publish(result, tmp_path / "out", "modiva study run study.yaml")
    assert again == (table, sentence)


def test_a_model_that_two_grids_attack_is_one_model(tmp_path):
    run(
        tmp_path / "out",
        {"noise": (0.0,), "attack": ("random",)},
        {"noise": (0.0,), "attack": ("coordinate",), "models": 3},
    )
    models = pd.read_csv(tmp_path / "out" / "models.csv")
    assert len(models) == models["model_seed"].nunique() == 3
    rows = pd.read_csv(tmp_path / "out" / "rows.csv")
    assert set(rows["attack"]) == {"random", "coordinate"}
    assert "train_accuracy" not in rows
    assert "attack" not in models


def test_a_window_system_that_is_not_there_matters_to_no_figure():
    code = "import os, modiva.report.plots; assert os.environ['MPLBACKEND'] == 'nonsense'"
    environment = {**os.environ, "MPLBACKEND": "nonsense", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
