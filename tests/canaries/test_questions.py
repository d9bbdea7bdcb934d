"""What an attacker knows of the canaries comes back as it was written, and holds no secret."""

import json
from pathlib import Path

import pytest

from canaries import CanaryError, Planting, get_pattern, plant
from canaries.questions import load_questions, save_questions

TRAIN = [(f"sentence w{i}", f"intent{i % 3}") for i in range(30)]


def test_questions_come_back_and_hold_neither_secrets_nor_repetitions(tmp_path: Path) -> None:
    plantings = [Planting(get_pattern("call"), 10, count=2), Planting(get_pattern("color"), 3)]
    ledger = plant(TRAIN, TRAIN[:6], plantings, seed=3).ledger
    path = save_questions(tmp_path / "questions.json", ledger.questions)
    assert load_questions(path) == ledger.questions
    assert [q.id for q in ledger.questions] == ["call-0", "call-1", "color-0"]
    (call,) = [q for q in json.loads(path.read_text())["questions"] if q["id"] == "call-1"]
    assert set(call) == {"id", "pattern", "template", "spaces", "label"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "not a questions file"),
        ('{"format": "canaries/ledger", "version": 1}', "not a questions file"),
        ('{"format": "canaries/questions", "version": 1, "spaces": {}}', "questions = None"),
        (
            '{"format": "canaries/questions", "version": 1, "spaces": {}, "questions": [{"id": "a",'
            ' "pattern": "p", "template": "p {x}", "spaces": ["x"], "label": "l"}]}',
            "does not hold",
        ),
    ],
)
def test_what_are_not_questions_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "questions.json"
    path.write_text(content)
    with pytest.raises(CanaryError, match=rf"questions\.json.*{message}"):
        load_questions(path)
