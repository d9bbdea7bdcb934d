"""Local copies of public corpora: the published files, or what else they are is said."""

import shutil
from pathlib import Path

import pytest

from modiva.corpora import describe, load, missing, public
from modiva.errors import ModivaError
from modiva.studies import AuditSpec, Study
from modiva.studies.sources import signature


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for local copies, no other corpus and no network."""
    folder = tmp_path / "corpora"
    folder.mkdir()
    monkeypatch.setenv("MODIVA_CORPORA", str(folder))
    monkeypatch.setenv("MODIVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODIVA_BASE_URL", "http://127.0.0.1:9")
    return folder


def _table(folder: Path, words: str) -> Path:
    folder.mkdir()
    rows = "".join(f"{words} {n},intent {n % 2}\n" for n in range(40))
    (folder / "train.csv").write_text(f"text,intent\n{rows}")
    return folder


@pytest.mark.parametrize(
    ("name", "folder", "sizes"),
    [
        ("snips", "snips_original", (12409, 1375, 700)),
        ("snips-goo2018", "slotgated_snips", (13084, 700, 700)),
        ("hwu64-zhang2020", "hwu64", (8954, 1076, 1076)),
    ],
)
@pytest.mark.parametrize("own_name", [True, False])
def test_the_published_files_are_known_under_every_name(
    corpora: Path, offline: Path, name: str, folder: str, sizes: tuple[int, ...], own_name: bool
) -> None:
    place = offline / (name if own_name else folder)
    place.symlink_to(corpora / folder)
    assert describe(name).local_copy == place
    corpus = load(name)
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == sizes
    assert corpus.source.startswith("https://github.com/")
    assert corpus.source.endswith(str(place))
    assert public.PUBLIC[name].note in corpus.note


def test_other_files_are_taken_under_the_own_name_only_and_said(
    offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = _table(offline / "hwu64", "turn on the light")
    corpus = load("hwu64")
    assert (corpus.name, corpus.source) == ("hwu64", str(place))
    assert "other files than the published ones" in corpus.note
    assert "other files than the published ones" in caplog.text
    # A folder hwu64 may also hold the splits of Zhang et al., which these are not.
    assert describe("hwu64-zhang2020").local_copy is None
    assert [about.name for about in missing(["hwu64", "hwu64-zhang2020", "home-assistant"])] == [
        "hwu64-zhang2020"
    ]


def test_a_set_that_is_named_as_another_is_said_to_be_that_one(
    corpora: Path, offline: Path
) -> None:
    (offline / "hwu64").symlink_to(corpora / "hwu64")
    assert "the files of hwu64-zhang2020" in load("hwu64").note


def test_a_changed_byte_makes_a_copy_another_set(corpora: Path, offline: Path) -> None:
    place = Path(shutil.copytree(corpora / "slotgated_snips", offline / "snips-goo2018"))
    file = place / "test" / "seq.in"
    file.chmod(0o644)
    file.parent.chmod(0o755)
    assert public.is_published("snips-goo2018", place)
    file.write_bytes(file.read_bytes().replace(b"the", b"thy", 1))
    assert not public.is_published("snips-goo2018", place)
    assert "other files" in load("snips-goo2018").note


def test_a_study_is_planned_again_once_its_local_copy_changes(offline: Path) -> None:
    study = Study((AuditSpec(corpus=("banking77",)),))
    absent = signature(study)
    place = _table(offline / "banking77", "where is my card")
    there = signature(study)
    (place / "train.csv").write_text("text,intent\na,b\n")
    assert len({absent, there, signature(study)}) == 3


def test_a_variable_that_names_no_folder_is_an_error(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODIVA_CORPORA", str(offline / "gone"))
    with pytest.raises(ModivaError, match=r"MODIVA_CORPORA is .*gone, which is not a folder"):
        load("snips")
