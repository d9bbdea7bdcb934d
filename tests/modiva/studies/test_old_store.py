"""A store of version 0.1.0, written by hand: said to be old, and never taken for a result."""

import hashlib
import json

import pytest

from modiva.errors import ModivaError
from modiva.studies import AuditSpec, EngineSettings, Store, collect, run_study

SPEC = AuditSpec(
    corpus=("home-assistant",), sentences=60, target=("cnn",), noise=(0.0,), pattern=("color",),
    repetitions=(1,), epochs=1, models=1, attack=("random",),
)  # fmt: skip
# Settings that came after 0.1.0.
LATER = ("epsilon",)
TRAIN, ATTACK = "1" * 24, "2" * 24


def write_record(store, key, kind, rows):
    record = {"key": key, "kind": kind, "seconds": 1.0, "files": {}, "rows": rows}
    checksum = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    path = store / "steps" / key[:2] / f"{key}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**record, "checksum": checksum}))


@pytest.fixture
def old(tmp_path):
    """The finished study of `SPEC` as 0.1.0 left it; its rows say that all was extracted."""
    out = tmp_path / "out"
    settings = {name: value for name, value in SPEC.as_dict().items() if name not in LATER}
    write_record(out, TRAIN, "train", [])
    row = {"attack": "random", "model_seed": 0, "exact": 1, "secret": "old"}
    write_record(out, ATTACK, "attack", [row])
    columns = {"corpus": "home-assistant", "target": "cnn", "size": "small", "defense": "none"}
    cell = ["home-assistant cnn none noise=0 R=1", "3" * 24, columns, 1, [ATTACK]]
    plan = {
        "out": ".", "signature": "4" * 24, "settings": settings, "cells": [cell],
        "artefacts": [TRAIN],
    }  # fmt: skip
    content = json.dumps(plan)
    digest = hashlib.sha256(content.encode()).hexdigest()
    (out / "studies").mkdir()
    (out / "studies" / "self.json").write_text(f"{digest}\n{content}\n")
    (out / "settings.json").write_text(json.dumps(settings))
    return out


def test_a_folder_of_an_older_version_is_said_to_be_one(old):
    with pytest.raises(ModivaError, match=r"another version of modiva.* \(epsilon\)"):
        run_study(SPEC, old, EngineSettings("debug"), progress=False)
    assert Store(old).finished() == {TRAIN, ATTACK}


def test_steps_of_an_older_version_are_computed_again_and_then_no_study_s(old):
    result = run_study(SPEC, old, EngineSettings("debug"), progress=False, change=True)
    assert (result.computed, result.reused) == (2, 0)
    assert "old" not in set(result.frame()["secret"])
    assert collect(Store(old))[0] == 2
    assert not {TRAIN, ATTACK} & Store(old).finished()
