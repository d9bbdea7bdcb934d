"""Files of a store that are damaged, gone or of another clock: found, said, computed again."""

import hashlib
import json
import logging
import os
import random
import shutil
import sqlite3
import time
from contextlib import closing

import pytest
import synthetic
from synthetic import CELLS

from modiva.errors import ModivaError
from modiva.studies.frame import study_frame
from modiva.studies.store import Store


def _records(out):
    return list((out / "steps").glob("*/*.json"))


@pytest.mark.parametrize("damage", ["truncate", "garbage", "flip", "empty", "remove"])
def test_a_damaged_step_is_found_said_and_computed_again(finished, damage, caplog):
    out, rows = finished
    record = next(path for path in sorted(_records(out)) if json.loads(path.read_text())["rows"])
    whole = record.read_text()
    damaged = {
        "truncate": whole[: len(whole) // 2],
        "garbage": "\0" * len(whole),
        "flip": whole.replace('"exact": 1', '"exact": 0', 1),
        "empty": "",
    }
    if damage == "remove":
        record.unlink()
    else:
        assert damaged[damage] != whole
        record.write_text(damaged[damage])
    with caplog.at_level(logging.WARNING):
        again = synthetic.run(out, CELLS)
    assert again.computed == 1
    assert (damage == "remove") or "damaged" in caplog.text
    assert again.frame().equals(rows)


@pytest.mark.parametrize("damage", [b"", b"\x80\x04pickle", None])
def test_a_damaged_checkpoint_is_trained_again_before_it_is_attacked(finished, damage, caplog):
    out, rows = finished
    for weights in out.glob("artefacts/*/*/model/weights"):
        weights.unlink() if damage is None else weights.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        again = synthetic.run(out, CELLS, version="2")  # attacks all targets anew
    assert again.computed >= 2 * CELLS
    assert "damaged or gone" in caplog.text
    assert again.frame().equals(rows)


def test_a_damaged_artefact_of_a_finished_study_is_no_work_until_it_is_needed(finished):
    out, rows = finished
    shutil.rmtree(out / "artefacts")
    again = synthetic.run(out, CELLS)
    assert again.computed == 0
    assert again.frame().equals(rows)


def _damaged(index, rng):
    """A copy of the bytes of an index with some of them other ones, and what was done."""
    page = 4096
    data = bytearray(index)
    places = [rng.randrange(len(data) // page) * page for _ in range(2)]
    kind = rng.choice(["flip", "flips", "zero", "swap", "repeat", "cut", "longer", "noise"])
    first, second = (slice(place, place + page) for place in places)
    if kind in ("flip", "flips"):
        for _ in range(1 if kind == "flip" else 20):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "zero":
        data[first] = bytes(page)
    elif kind == "swap":
        data[first], data[second] = data[second], data[first]
    elif kind == "repeat":
        data[first] = data[second]
    elif kind == "cut":
        del data[rng.randrange(len(data)) :]
    elif kind == "longer":
        data += rng.randbytes(rng.randrange(1, 2 * page))
    else:
        data[first] = rng.randbytes(page)
    return kind, bytes(data)


def test_an_index_is_not_believed_once_a_byte_is_another(finished, caplog):
    out, rows = finished
    index, rng = out / "index.sqlite", random.Random(0)
    whole = index.read_bytes()
    plan = synthetic.Plans(CELLS).make()
    for turn in range(300):
        kind, data = _damaged(whole, rng)
        index.write_bytes(data)
        caplog.clear()
        store = Store(out)
        frame = study_frame(store, plan)
        store.close()
        assert frame.equals(rows), (turn, kind)
        assert caplog.text.count("\n") == (data != whole), (turn, kind)
        assert ("rebuilt from the steps" in caplog.text) == (data != whole), (turn, kind)


@pytest.mark.parametrize(
    "damage", ["empty", "text", "gone", "folder", "other values", "other store", "without seal"]
)
def test_a_run_puts_a_whole_index_in_the_place_of_a_damaged_one(finished, damage, tmp_path, caplog):
    out, rows = finished
    index = out / "index.sqlite"
    whole = index.read_bytes()
    other = synthetic.run(tmp_path / "other", 3).store.folder / "index.sqlite"
    contents = {
        "empty": b"",
        "text": b"not a database" * 1000,
        "other store": other.read_bytes(),
        "without seal": whole[:-32],
    }
    if damage == "other values":
        with closing(sqlite3.connect(index)) as connection:
            connection.execute('UPDATE "rows of attack" SET exact = 1 - exact')
            connection.commit()
    elif damage in contents:
        index.write_bytes(contents[damage])
    else:
        index.unlink()
        if damage == "folder":
            index.mkdir()
    again = synthetic.run(out, CELLS)
    assert again.computed == 0
    assert again.frame().equals(rows)
    assert index.is_file()
    caplog.clear()
    assert Store(out).finished() == Store(tmp_path / "out").finished()
    assert synthetic.run(out, CELLS).frame().equals(rows)
    assert not caplog.text


def test_rows_of_a_run_that_goes_on_are_read_beside_it(finished):
    out, rows = finished
    with Store(out).locked() as store:
        lost = next(key for key in synthetic.Plans(CELLS).make().goals)
        store.discard(lost)
        reader = Store(out)
        assert lost not in reader.finished()
        assert len(study_frame(reader, synthetic.Plans(CELLS).make())) == len(rows) - 4
        reader.close()
    assert synthetic.run(out, CELLS).frame().equals(rows)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 5},
        {"rows": [5]},
        {"rows": [{"exact": [1]}]},
        {"rows": [{"exact": 2**1023}]},
        {"files": ["a"]},
        {"files": {"model": 1}},
        {"kind": None},
        {"seconds": "1"},
    ],
)
def test_a_step_whose_checksum_is_right_and_values_are_not_is_computed_again(finished, change):
    out, rows = finished
    path = next(path for path in sorted(_records(out)) if json.loads(path.read_text())["rows"])
    record = {**json.loads(path.read_text()), **change}
    del record["checksum"]
    text = json.dumps(record, sort_keys=True).encode()
    path.write_text(json.dumps({**record, "checksum": hashlib.sha256(text).hexdigest()}))
    again = synthetic.run(out, CELLS)
    assert again.computed == 1
    assert again.frame().equals(rows)


def test_a_damaged_plan_is_made_again(finished, caplog):
    out, rows = finished
    plan = out / "studies" / "self.json"
    plan.write_text(plan.read_text()[:-100])
    again = synthetic.run(out, CELLS)
    assert again.computed == 0
    assert "damaged" in caplog.text
    assert again.frame().equals(rows)


def test_no_clock_has_to_be_right(finished, monkeypatch, tmp_path):
    out, rows = finished
    # The clock of the machine now stands in 1990, before every file that it wrote.
    monkeypatch.setattr(time, "time", lambda: 631_152_000.0)
    assert synthetic.run(out, CELLS).computed == 0
    for path in _records(out)[::2]:
        os.utime(path, (631_152_000, 631_152_000))
    again = synthetic.run(out, CELLS)
    assert again.computed == 0
    assert again.frame().equals(rows)
    assert synthetic.run(tmp_path / "new", CELLS).frame().equals(rows)


def test_a_store_of_a_stranger_leads_nowhere_else(finished):
    """Names in a store that was copied from elsewhere are keys and paths inside, or refused."""
    out, _ = finished
    outside = out.parent / "precious.txt"
    outside.write_text("precious")
    store = Store(out)
    with pytest.raises(ModivaError, match="not the key"):
        store.read("../../precious")
    record = next(r for r in map(Store(out).read, store.finished()) if r and r["files"])
    escaped = {
        **record,
        "files": {"../../../../precious.txt": next(iter(record["files"].values()))},
    }
    assert not store.intact(record["key"], escaped)
    store.close()
    assert outside.read_text() == "precious"
