"""What is told apart by content: corpora, patterns and targets under whatever names."""

import dataclasses

import pytest

from modiva.errors import ModivaError
from modiva.studies import AuditSpec, Study
from modiva.studies.planning import plan_study
from modiva.studies.sources import signature
from modiva.studies.spec import MOST_CELLS
from modiva.training import load_corpus

TINY = AuditSpec(
    target=("cnn",), repetitions=(1,), noise=(0.0,), models=1, pattern=("pin",), attack=("random",)
)


@pytest.fixture(autouse=True)
def corpora(tmp_path, monkeypatch):
    """en/train.csv and de/train.csv in the working folder."""
    for language, the in (("en", "the"), ("de", "die")):
        (tmp_path / language).mkdir()
        lines = [f"{verb} {the} door {n},{verb}" for verb in ("open", "close") for n in range(20)]
        (tmp_path / language / "train.csv").write_text("text,intent\n" + "\n".join(lines))
    monkeypatch.chdir(tmp_path)
    load_corpus.cache_clear()


def plan(*grids, **settings):
    return plan_study(Study(grids or (dataclasses.replace(TINY, **settings),)))


def test_two_files_of_one_name_are_two_corpora_with_names_of_their_own():
    cells = plan(corpus=("en/train.csv", "de/train.csv")).cells
    assert [cell.columns["corpus"] for cell in cells] == ["en/train.csv", "de/train.csv"]
    (alone,) = plan(corpus=("en/train.csv",)).cells
    assert alone.columns["corpus"] == "train"


@pytest.mark.parametrize("other", ["./en/train.csv", "de/../en/train.csv", "copy.csv", "link.csv"])
def test_one_corpus_under_two_names_is_refused(tmp_path, other):
    (tmp_path / "copy.csv").write_bytes((tmp_path / "en/train.csv").read_bytes())
    (tmp_path / "link.csv").symlink_to(tmp_path / "en/train.csv")
    with pytest.raises(ModivaError, match="hold the same sentences"):
        plan(corpus=("en/train.csv", other))
    grid = dataclasses.replace(TINY, corpus=("en/train.csv",))
    with pytest.raises(ModivaError, match="hold the same sentences"):
        plan(grid, dataclasses.replace(grid, corpus=(other,)))


@pytest.mark.parametrize(
    "other", ["pin:4", "my pin code is {digit*4}", "My PIN  code is {digit*4}"]
)
def test_one_pattern_under_two_names_is_refused(other):
    with pytest.raises(ModivaError, match="the same sentence"):
        plan(corpus=("en/train.csv",), pattern=("pin", other))


def test_templates_of_one_beginning_are_two_patterns():
    plan(corpus=("en/train.csv",), pattern=("code: {digit*4}", "code: {letter*4}", "pin:6"))


def test_one_name_of_two_templates_is_refused(tmp_path):
    grids = []
    for name in ("first", "second"):
        (tmp_path / f"{name}.yaml").write_text(f"patterns: {{badge: '{name} {{digit*3}}'}}")
        grids.append(
            dataclasses.replace(
                TINY, corpus=("en/train.csv",), pattern=("badge",), patterns_file=f"{name}.yaml",
                seed=len(grids),
            )
        )  # fmt: skip
    with pytest.raises(ModivaError, match="badge is two different sentences"):
        plan(*grids)


def test_targets_that_tables_cannot_tell_apart_are_refused():
    with pytest.raises(ModivaError, match="a/bert and b/bert have one name"):
        plan(target=("a/bert", "b/bert"))


def test_a_word_list_that_changed_is_another_study(tmp_path):
    (tmp_path / "words.txt").write_text("red\nblue\n")
    (tmp_path / "own.yaml").write_text(
        "{patterns: {team: 'i am in {team}'}, spaces: {team: words.txt}}"
    )
    study = Study((dataclasses.replace(TINY, pattern=("team",), patterns_file="own.yaml"),))
    before = signature(study)
    (tmp_path / "words.txt").write_text("red\ngreen\n")
    assert signature(study) != before


def test_a_folder_is_read_only_as_far_as_its_layout_goes(tmp_path):
    study = Study((dataclasses.replace(TINY, corpus=("en",)),))
    before = signature(study)
    (tmp_path / "en" / "notes").mkdir()
    (tmp_path / "en" / "notes" / "large").write_text("no part of the corpus")
    assert signature(study) == before
    (tmp_path / "en" / "train.csv").rename(tmp_path / "en" / "nothing.txt")
    with pytest.raises(ModivaError, match="no known layout"):
        signature(study)


def test_a_grid_is_counted_before_it_is_expanded():
    # A product of 10^12: expanding it would not end.
    with pytest.raises(ModivaError, match="1,000,000,000,000 cells"):
        AuditSpec(
            repetitions=tuple(range(10**6)), noise=tuple(range(1, 10**6 + 1)), target=("cnn",)
        )
    half = dataclasses.replace(TINY, repetitions=tuple(range(MOST_CELLS // 2 + 1)))
    with pytest.raises(ModivaError, match="one --store"):
        Study((half, dataclasses.replace(half, seed=1)))
