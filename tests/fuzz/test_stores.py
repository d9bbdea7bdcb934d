"""Stores that are damaged: the rows afterwards are the rows before, or those of what is whole."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .mutations import byte_strings, json_texts
from .oracle import contents, empty_folder, fuzzed, modiva

HERE = ("--engine", "debug")


@pytest.fixture(scope="session")
def finished(made, tmp_path_factory) -> tuple[Path, Path]:
    """A study's file, and the folder of its results: three steps that train, three that attack.

    An export of it stands beside them.
    """
    folder = tmp_path_factory.mktemp("study")
    file, out = folder / "study.yaml", folder / "out"
    file.write_text(
        f"{{corpus: {made / 'own.csv'}, target: cnn, pattern: color, repetitions: [0, 1, 5],"
        " noise: 0, models: 2, epochs: 1, controls: 2, attack: random}"
    )
    assert modiva("study", "run", file, "--out", out, *HERE).code == 0
    assert modiva("study", "export", file, "--out", out, "--to", folder / "export").code == 0
    return file, out


def _rows(folder: Path) -> Counter[str]:
    """The rows of an export, in no order; nothing was measured twice."""
    frame = pd.read_csv(folder / "rows.csv", dtype=str, keep_default_na=False)
    rows = Counter(frame[sorted(frame.columns)].agg("\t".join, axis=1))
    assert not rows or max(rows.values()) == 1
    return rows


@st.composite
def damages(
    draw: st.DrawFn, out: Path, kinds: str = "index index step step plan settings"
) -> tuple[str, bytes | None]:
    """The name and the new content of one file of a store; None where it is gone."""
    files = contents(out)
    places = {"index": "index.", "step": "steps/", "plan": "studies/", "settings": "settings."}
    kind = draw(st.sampled_from(kinds.split()))
    name = draw(st.sampled_from([name for name in files if name.startswith(places[kind])]))
    if draw(st.integers(0, 15)) == 0:
        return name, None
    if name.endswith(".json") and kind != "plan" and draw(st.booleans()):
        return name, draw(json_texts(json.loads(files[name])))
    return name, draw(byte_strings(files[name]))


def _damage(finished: tuple[Path, Path], folder: Path, name: str, content: bytes | None) -> Path:
    # copy2 keeps the times of change, by which a store tells files that it has read before.
    out = Path(shutil.copytree(finished[1], folder / "out"))
    if content is None:
        (out / name).unlink()
    else:
        (out / name).write_bytes(content)
    return out


@fuzzed(60)
@given(st.data())
def test_an_export_of_a_damaged_store_has_the_rows_of_what_is_whole(finished, data):
    name, content = data.draw(damages(finished[1]))
    with empty_folder() as folder:
        before = _rows(finished[0].parent / "export")
        out = _damage(finished, folder, name, content)
        done = modiva("study", "export", finished[0], "--out", out, "--to", folder / "export")
        after = _rows(folder / "export") if done.code == 0 else Counter()
        assert not after - before  # no row that was not there
        if not name.startswith("steps/"):
            assert after == before
        elif after != before:
            assert sum(after.values()) in (0, 2 * sum(before.values()) // 3)


@fuzzed(30)
@given(st.data())
def test_status_and_gc_of_a_damaged_store_tell_or_refuse(finished, data):
    name, content = data.draw(damages(finished[1]))
    command = data.draw(
        st.sampled_from([("status", "--verify"), ("status",), ("report",), ("gc",)])
    )
    with empty_folder() as folder:
        out = _damage(finished, folder, name, content)
        where = [out] if command[0] == "gc" else [finished[0], "--out", out]
        modiva("study", command[0], *where, *command[1:])


@pytest.mark.parametrize("kind", ["index", "step", "plan", "settings"])
@fuzzed(1)
@given(st.data())
def test_a_run_on_a_damaged_store_ends_with_the_same_rows(finished, kind, data):
    name, content = data.draw(damages(finished[1], kind))
    with empty_folder() as folder:
        out = _damage(finished, folder, name, content)
        done = modiva("study", "run", finished[0], "--out", out, *HERE)
        if done.code == 0:
            before, after = (pd.read_csv(where / "rows.csv") for where in (finished[1], out))
            pd.testing.assert_frame_equal(
                after.drop(columns="seconds"), before.drop(columns="seconds")
            )
        else:
            assert name == "settings.json"
