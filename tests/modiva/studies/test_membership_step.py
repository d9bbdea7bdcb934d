"""Pools of a study: files, reuse, and members that are told in small trained models."""

import pandas as pd
import pytest

from modiva.measure.column import columns_of
from modiva.measure.columns import MembershipRow, RecordRow
from modiva.report import publish
from modiva.studies import AuditSpec, EngineSettings, Study, run_study

SPEC = AuditSpec(
    target=("cnn",), pattern=("call",), repetitions=(10,), sentences=150, epochs=8, models=1,
    noise=(0.0, 1.0), attack=("random",), controls=1, membership=6, vulnerability=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    result = run_study(Study((SPEC,)), out, EngineSettings("debug"), progress=False)
    assert not result.failed
    return out, result, publish(result, out, "modiva audit")


def test_membership_has_a_file_of_its_own(ran):
    out, _, (table, _) = ran
    rows = pd.read_csv(out / "membership.csv")
    assert {*rows.columns} == {column.name for column in columns_of(MembershipRow)}
    assert {*rows["records"]} == {"sentences", "canaries", "controls"}
    assert len(rows) == 2 * 3 * 5
    assert (rows["pool"] == 6).all()
    told = rows[rows["records"] == "sentences"].set_index(["noise_multiplier", "inference"])["auc"]
    assert told[0.0, "lira-online"] > 0.7
    assert told[0.0, "lira-online"] > told[1.0, "lira-online"]
    private = rows[rows["noise_multiplier"] == 1]
    assert private["auc_bound"].between(0.5, 1).all()
    assert (private.loc[private["records"] == "controls", "auc_bound"] == 0.5).all()
    assert "LiRA, which compares a model with 5 others" in table
    assert 'id="membership"' in (out / "report.html").read_text()


def test_vulnerability_is_of_sentences_and_of_no_canary(ran):
    out, _, _ = ran
    rows = pd.read_csv(out / "vulnerability.csv")
    assert {*rows.columns} == {column.name for column in columns_of(RecordRow)}
    assert len(rows) == 2 * 150
    assert not rows["sentence"].str.match(r"^call \d \d \d \d$").any()
    assert rows["held_by"].between(0, 6).all()


def test_pools_are_steps_like_any_other(ran):
    out, _, _ = ran
    again = run_study(Study((SPEC,)), out, EngineSettings("debug"), progress=False)
    assert again.computed == 0
    assert len(again.models()) == 2  # those of the pool are no targets
    assert len(again.others("membership")) == 2 * 3 * 5
