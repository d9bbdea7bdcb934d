"""One small checkpoint, table, store and ranker for all fuzz tests."""

import json
from pathlib import Path

import pytest

from .oracle import modiva

FOLDER = Path(__file__).parent
ROWS = "text,intent\n" + "".join(
    f"{verb} the {noun} {when},{verb}\n"
    for verb in ("open", "close", "lock")
    for noun in ("door", "gate")
    for when in ("now", "please", "again", "today", "later")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as slow: examples add up; one worker makes what all share."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("fuzz"))


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A folder with own.csv, a checkpoint and its ledger, what an attack found, and a ranker."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "own.csv").write_text(ROWS)
    small = ["--corpus", str(folder / "own.csv"), "--target", "cnn", "--size", "small"]
    train = ["--pattern", "call", "--epochs", "1", "--out", str(folder / "target")]
    assert modiva("train", *small, *train).code == 0
    ledger = json.loads((folder / "target.ledger.json").read_text())
    ask = ["--prefix", "call", "--slots", "digit*4", "--label", ledger["canaries"][0]["label"]]
    found = modiva("attack", str(folder / "target"), *ask, "--attack", "random", "--json")
    (folder / "found.json").write_text(found.out)
    fit = ["--shadows", "2", "--epochs", "1", "--out", str(folder / "ranker")]
    assert modiva("ranker", "fit", *small, *fit).code == 0
    return folder
