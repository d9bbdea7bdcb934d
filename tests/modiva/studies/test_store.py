"""The store: whole cells or none, one run a folder, damage found and said."""

import json
import logging
import subprocess
import sys

import pytest

from modiva.errors import ModivaError
from modiva.studies.store import Store, code_version

ROWS = [{"exact": 1, "secret": "1 2 3 4"}]


def test_what_is_written_is_read(tmp_path):
    with Store(tmp_path / "out", {"seed": 0}).locked() as store:
        store.write("key", {"target": "cnn"}, ROWS, {"training": 1.0})
        record = store.read("key")
    assert record is not None
    assert record["rows"] == ROWS
    assert store.read("another") is None


@pytest.mark.parametrize("damage", ["", "{", '{"rows": [], "checksum": "0"}', "[]", "null"])
def test_a_damaged_cell_counts_as_not_finished_and_is_said(tmp_path, damage, caplog):
    with Store(tmp_path / "out", {"seed": 0}).locked() as store:
        store.write("key", {}, ROWS, {})
        (tmp_path / "out" / "cells" / "key.json").write_text(damage)
        with caplog.at_level(logging.WARNING):
            assert store.read("key") is None
    assert "damaged" in caplog.text


def test_a_changed_row_is_found_by_its_checksum(tmp_path):
    with Store(tmp_path / "out", {}).locked() as store:
        store.write("key", {}, ROWS, {})
        path = tmp_path / "out" / "cells" / "key.json"
        record = json.loads(path.read_text())
        record["rows"][0]["exact"] = 0
        path.write_text(json.dumps(record))
        assert store.read("key") is None


def test_other_settings_are_refused_and_named(tmp_path):
    with Store(tmp_path / "out", {"seed": 0, "models": 3}).locked():
        pass
    with pytest.raises(ModivaError, match=r"models was 3, now 4"):
        Store(tmp_path / "out", {"seed": 0, "models": 4})
    Store(tmp_path / "out", {"seed": 0, "models": 3})


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(ModivaError, match="not empty"):
        Store(tmp_path, {"seed": 0})
    with pytest.raises(ModivaError, match="is a file"):
        Store(tmp_path / "thesis.tex", {"seed": 0})


def test_a_second_run_on_the_folder_is_refused(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom modiva.studies.store import Store\n"
        "from modiva.errors import ModivaError\n"
        "try:\n    with Store(Path(sys.argv[1]), {}).locked(): print('entered')\n"
        "except ModivaError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with Store(tmp_path / "out", {}).locked():
        inside = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "in use by another run" in inside
    assert after.strip() == "entered"


def test_the_code_version_is_a_fixed_text():
    assert code_version() == code_version()
    assert len(code_version()) == 16
