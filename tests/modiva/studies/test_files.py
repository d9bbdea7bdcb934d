"""A study file says what the flags of `modiva audit` say, and nothing else."""

import dataclasses
from pathlib import Path

import pytest

from modiva.errors import ModivaError
from modiva.studies import AuditSpec, Study, load_study
from modiva.studies.checks import check_grids


def _study(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_a_file_is_the_audit_of_its_settings(tmp_path):
    path = _study(
        tmp_path,
        "target: [cnn, transformer]\nnoise: 0\nrepetitions: [1, 10]\nmodels: 3\nepochs: null\n"
        "share_valid: true\nsize: full\n",
    )
    spec = AuditSpec(
        target=("cnn", "transformer"), noise=(0.0,), repetitions=(1, 10), models=3, epochs=None,
        share_valid=True, size="full",
    )  # fmt: skip
    assert load_study(path) == Study((spec,))


def test_several_grids_share_their_defaults(tmp_path):
    study = load_study(
        _study(
            tmp_path,
            "defaults: {models: 3, target: cnn}\n"
            "grids:\n  - noise: 0\n  - {noise: 1, defense: [dp, edp], target: lstm}\n",
        )
    )
    assert study.grids == (
        AuditSpec(models=3, target=("cnn",), noise=(0.0,)),
        AuditSpec(models=3, target=("lstm",), noise=(1.0,), defense=("dp", "edp")),
    )
    assert len(study.cells()) == 3 + 6


def test_a_cell_of_two_grids_is_run_once(tmp_path):
    grid = AuditSpec(target=("cnn",), noise=(0.0,))
    wider = AuditSpec(target=("cnn", "lstm"), noise=(0.0,))
    assert len(Study((grid, wider)).cells()) == 6


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size": "full", "repetitions": (3,)}, "grids differ in size"),
        ({"objective": "margin", "attack": ("beam",)}, "grids differ in objective"),
        ({"models": 9}, "count twice"),
        ({"attack": ("beam", "exhaustive")}, "count twice"),
    ],
)
def test_grids_that_would_be_pooled_are_refused(changes, named):
    grid = AuditSpec(target=("cnn",), noise=(0.0,))
    with pytest.raises(ModivaError, match=named):
        check_grids(Study((grid, dataclasses.replace(grid, **changes))))


def test_other_seeds_attacks_and_conditions_may_be_pooled():
    grid = AuditSpec(target=("cnn",), noise=(0.0,))
    for changes in ({"seed": 1}, {"attack": ("beam",)}, {"noise": (1.0,), "models": 3}):
        check_grids(Study((grid, dataclasses.replace(grid, **changes))))


def test_a_study_in_python_is_run_and_typed(tmp_path):
    path = tmp_path / "study.py"
    path.write_text(
        "from modiva.studies import AuditSpec, Study\n"
        "study = Study(tuple(AuditSpec(seed=seed, target=('cnn',)) for seed in range(3)))\n"
    )
    assert [grid.seed for grid in load_study(path).grids] == [0, 1, 2]
    path.write_text("study = 'cnn'\n")
    with pytest.raises(ModivaError, match="must define study"):
        load_study(path)


STUDIES = sorted((Path(__file__).parents[3] / "results").glob("*/*.yaml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_the_studies_of_the_repository_load(file):
    study = load_study(file)
    assert study.cells()
    check_grids(study)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "must map"),
        ("- cnn\n", "must map"),
        ("colour: red\n", "colour"),
        ("models: many\n", "'many'"),
        ("models: yes\n", "True"),
        ("models: 2.5\n", "2.5"),
        ("repetitions: [1, ten]\n", "--repetitions ten"),
        ("size: huge\n", "small, full"),
        ("share_valid: 1\n", "true or false"),
        ("target: [cnn\n", "not a YAML"),
        ("target: !!python/object/apply:os.system ['true']\n", "not a YAML"),
        ("models: 0\n", "--models 0"),
        ("models: 3\ntarget: cnn\nmodels: 6\n", "'models' stands twice in line 3"),
        ("seed: " + "[" * 5000, "nested too deeply"),
        ("grids: []\n", "must be a list"),
        ("grids: [cnn]\n", "'cnn'"),
        ("models: 3\ngrids: [{noise: 0}]\n", "under 'defaults'"),
        ("defaults: {noise: 0}\n", "must be a list"),
        ("a: &a [*a, *a]\n", "unknown setting|not a YAML"),
        ("models: 010\n", "'010' is no number.*quotes in line 1"),
        ("models: 1:30\n", "'1:30' is no number"),
        ("models: 2001-01-01\n", "'2001-01-01', which is not a whole number"),
        ('corpus: "a\\0b"\n', "no text has"),
        ("label: no\n", "False, which is not text: put it in quotes"),
    ],
)
def test_what_is_not_a_setting_is_refused(tmp_path, text, named):
    with pytest.raises(ModivaError, match=named):
        load_study(_study(tmp_path, text))


def test_powers_of_ten_are_numbers(tmp_path):
    study = load_study(_study(tmp_path, "learning_rate: 1e-3\nepsilon: [1e1, 2.5E0]\n"))
    assert study.grids[0].learning_rate == 0.001
    assert study.grids[0].epsilon == (10.0, 2.5)


def test_bytes_that_are_not_text_are_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(b"target: \xff\xfe")
    with pytest.raises(ModivaError, match="not a YAML"):
        load_study(path)
