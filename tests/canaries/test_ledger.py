"""The ledger comes back as it was written, and a damaged one is refused."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from canaries import CanaryError, Ledger, Planting, SecretSpace, get_pattern, plant

TRAIN = [(f"sentence w{i}", f"intent{i % 3}") for i in range(30)]
VOCABULARY = ["müsli", "play", "music", "日本"]


@pytest.fixture
def ledger() -> Ledger:
    team = SecretSpace("team", ("red", "blue", "green"))
    plantings = [
        Planting(get_pattern("call"), 10, count=2),
        Planting(get_pattern("passphrase", vocabulary=VOCABULARY), 0, controls=1),
        Planting(get_pattern("badge {team} {digit} ok", spaces={"team": team}), 1, label="new"),
    ]
    return plant(TRAIN, TRAIN[:6], plantings, seed=3, share_valid=True).ledger


def test_a_ledger_comes_back_as_it_was_written(ledger: Ledger, tmp_path: Path) -> None:
    path = ledger.save(tmp_path / "new" / "ledger.json")
    again = Ledger.load(path)
    assert again == ledger
    assert [canary.text for canary in again.canaries] == [c.text for c in ledger.canaries]
    assert [canary.form.parts for canary in again.canaries] == [
        canary.form.parts for canary in ledger.canaries
    ]
    assert [file.name for file in path.parent.iterdir()] == ["ledger.json"]


def test_a_word_list_is_written_once_however_many_slots_it_fills(
    ledger: Ledger, tmp_path: Path
) -> None:
    assert ledger.save(tmp_path / "l.json").read_text(encoding="utf-8").count('"word": [') == 1


def test_what_a_killed_writer_left_is_removed_and_a_running_one_keeps_its_own(
    ledger: Ledger, tmp_path: Path
) -> None:
    for process in (2**30, os.getppid(), "x"):  # no process has the first number
        (tmp_path / f".ledger.json.{process}.part").write_text("{")
    ledger.save(tmp_path / "ledger.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f".ledger.json.{os.getppid()}.part", ".ledger.json.x.part", "ledger.json",
    ]  # fmt: skip


def test_a_write_that_fails_leaves_the_old_ledger(
    ledger: Ledger, tmp_path: Path, full_disk: Any
) -> None:
    path = Ledger((), 0).save(tmp_path / "ledger.json")
    before = path.read_bytes()
    with full_disk(200), pytest.raises(OSError, match="too large"):
        ledger.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"format": "canaries/led', "not JSON"),
        (b"[]", "not a ledger file"),
        (b'{"seed": 0, "canaries": []}', "not a ledger file"),
        (b'{"format": "canaries/ledger", "version": 2}', "version 2.*version 1"),
        (b'{"format": "canaries/ledger", "version": 1}', "seed = None.*int"),
    ],
)
def test_what_is_not_a_ledger_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_bytes(content)
    with pytest.raises(CanaryError, match=rf"ledger\.json.*{message}"):
        Ledger.load(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("secret", ["1", "2", "3"], "does not fit"),
        ("secret", ["1", "2", "3", "x"], "'x' is not in space 'digit'"),
        ("secret", "1234", "must be a JSON value of type list"),
        ("secret", [1, 2, 3, 4], "must be a list of words"),
        ("controls", [["1", "1", "1", "1"]] * 2, "not distinct"),
        ("controls", ["1234"], "must be a list of words"),
        ("repetitions", -1, "negative"),
        ("repetitions", True, "type int"),
        ("repetitions", "10", "type int"),
        ("label", None, "type str"),
        ("id", "call-1", "ids are not distinct"),
        ("template", "call", "no slot"),
        ("spaces", ["fruit"], "does not hold.*fruit"),
    ],
)
def test_a_damaged_canary_is_refused(
    ledger: Ledger, tmp_path: Path, field: str, value: Any, message: str
) -> None:
    path = ledger.save(tmp_path / "ledger.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["canaries"][0][field] = value
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CanaryError, match=rf"ledger\.json.*{message}"):
        Ledger.load(path)


def test_a_canary_that_is_not_an_object_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    path = ledger.save(tmp_path / "ledger.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["canaries"][1] = "call 1 2 3 4"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CanaryError, match=r"canary number 1.*not a JSON object"):
        Ledger.load(path)


def test_two_spaces_of_one_name_cannot_share_a_ledger() -> None:
    def planting(prefix: str, *options: str) -> Planting:
        own = {"team": SecretSpace("team", options)}
        return Planting(get_pattern(prefix + " {team}", spaces=own), 1, controls=0)

    with pytest.raises(CanaryError, match="two different spaces are called 'team'"):
        plant(TRAIN, [], [planting("a", "x", "y"), planting("b", "x", "z")], seed=0)
