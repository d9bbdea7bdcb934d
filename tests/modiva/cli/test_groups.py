"""`modiva groups` on the targets of an audit, and `modiva audit --groups`."""

import pandas as pd
import pytest

from modiva.cli import main

pytestmark = pytest.mark.xdist_group("groups")  # what its tests share is made once

SMALL = [
    *("audit", "--target", "cnn", "--pattern", "call", "--repetitions", "5", "--noise", "0", "2"),
    *("--models", "2", "--sentences", "120", "--epochs", "2", "--attack", "exhaustive"),
    *("--engine", "debug", "--groups", "length"),
]


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    out = tmp_path_factory.mktemp("groups") / "out"
    assert main([*SMALL, "--out", str(out)]) == 0
    return out


def test_groups_have_a_row_per_model_group_and_intent(audit):
    rows = pd.read_csv(audit / "groups.csv", keep_default_na=False)
    whole = rows[rows["intent"] == ""]
    assert set(whole["grouping"]) == {"length"}
    assert len(whole) == 2 * 2 * whole["group"].nunique()
    models = pd.read_csv(audit / "models.csv")
    tested = whole.assign(hits=whole["accuracy"].astype(float) * whole["tested"])
    by_model = tested.groupby(["noise_multiplier", "model_seed"])[["hits", "tested"]].sum()
    accuracy = models.set_index(["noise_multiplier", "model_seed"])["test_accuracy"]
    for key, both in by_model.iterrows():
        assert both["hits"] / both["tested"] == pytest.approx(accuracy[key])


def test_other_groups_of_the_same_targets_are_measured_without_training(audit, capsys):
    steps = {path.name for path in (audit / "artefacts").iterdir()}
    assert main(["groups", str(audit), "--groups", "typo", "--engine", "debug"]) == 0
    assert {path.name for path in (audit / "artefacts").iterdir()} == steps
    rows = pd.read_csv(audit / "groups.csv")
    assert set(rows["group"]) == {"as written", "one typo"}
    assert "report" in capsys.readouterr().out


def test_what_cannot_be_grouped_is_refused_before_work(audit, tmp_path, capsys):
    assert main([*SMALL[:-1], "frequency", "--out", str(tmp_path / "new")]) == 2
    assert "do not differ" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main(["groups", str(tmp_path), "--groups", "typo"]) == 2
    assert "holds no results of a study" in capsys.readouterr().err
    assert main(["groups", str(audit), "--groups", "colour", "--engine", "debug"]) == 2
    assert "choose from frequency" in capsys.readouterr().err


def test_names_are_measured_beside_their_controls_and_told_on_the_page(tmp_path):
    lines = ["text,intent"]
    for number in range(240):
        name = ("mary", "anna", "linda", "james", "david", "brian")[number % 6]
        lines.append(f"ring {name} in room {number % 40},{('call', 'text')[number % 6 > 2]}")
    (tmp_path / "own.csv").write_text("\n".join(lines))
    out = tmp_path / "out"
    own = [*SMALL[:-1], "name", "--corpus", str(tmp_path / "own.csv"), "--epochs", "12"]
    assert main([*own, "--noise", "0", "--models", "1", "--out", str(out)]) == 0
    (row,) = pd.read_csv(out / "names.csv").to_dict("records")
    assert row["flips_between"] > 0.9 > 0.1 > row["flips_within"]
    assert row["sensitivity_names"] > row["sensitivity_any"]
    page = (out / "report.html").read_text()
    assert 'id="names"' in page
    assert "of pairs of names of two lists" in page


def test_a_column_of_the_users_file_is_a_grouping_of_targets_that_are_there(tmp_path, capsys):
    """Sentences of one locale end in a word that training has never seen: those go wrong."""
    lines = ["text,intent,locale"]
    for number in range(400):
        intent, rare = ("lamp", "radio")[number % 2], number % 8 > 5
        words = f"zq{number}" if rare else f"turn the {intent} on in room {number}"
        lines.append(f"{words},{intent},{'sw' if rare else 'en'}")
    (tmp_path / "own.csv").write_text("\n".join(lines))
    out = tmp_path / "out"
    own = [*SMALL[:-2], "--corpus", str(tmp_path / "own.csv"), "--epochs", "8", "--noise", "0"]
    assert main([*own, "--out", str(out)]) == 0
    steps = {path.name for path in (out / "artefacts").iterdir()}
    assert main(["groups", str(out), "--group-column", "locale", "--engine", "debug"]) == 0
    assert {path.name for path in (out / "artefacts").iterdir()} == steps
    rows = pd.read_csv(out / "groups.csv", keep_default_na=False)
    whole = rows[(rows["intent"] == "") & (rows["grouping"] == "locale")]
    accuracy = whole.groupby("group")["accuracy"].apply(lambda own: own.astype(float).mean())
    assert accuracy["en"] > 0.95
    assert accuracy["sw"] < 0.8
    assert "locale" in (out / "report.html").read_text()
    assert main(["groups", str(out), "--group-column", "dialect", "--engine", "debug"]) == 2
    assert "no column 'dialect'; columns found: 'text', 'intent', 'locale'" in (
        capsys.readouterr().err
    )
    assert main(["groups", str(out), "--engine", "debug"]) == 2
    assert "give --groups or --group-column" in capsys.readouterr().err
