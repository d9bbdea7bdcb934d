"""The attacker's knowledge of each canary: the sentence, the options of its slots, the label."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from canaries.documents import (
    check_fields,
    pattern_of,
    read_document,
    spaces_from_json,
    spaces_to_json,
    write_document,
)
from canaries.patterns import Pattern
from canaries.spaces import CanaryError

_FIELDS = {"id": str, "pattern": str, "template": str, "spaces": list, "label": str}


@dataclass(frozen=True)
class Question:
    """One canary as an attacker knows it.

    Args:
        id: of the canary, such as "call-0".
        pattern: the sentence, and what each of its slots may hold.
        label: the intent that the sentence was labelled with.
    """

    id: str
    pattern: Pattern
    label: str


def save_questions(path: str | Path, questions: Sequence[Question]) -> Path:
    """Write questions as JSON, whole or not at all."""
    content = {
        "spaces": spaces_to_json(question.pattern for question in questions),
        "questions": [
            {
                "id": question.id,
                "pattern": question.pattern.name,
                "template": question.pattern.template,
                "spaces": [space.name for space in dict.fromkeys(question.pattern.slots)],
                "label": question.label,
            }
            for question in questions
        ],
    }
    return write_document(path, "questions", content)


def load_questions(path: str | Path) -> tuple[Question, ...]:
    """Read questions that `save_questions` wrote.

    Raises:
        CanaryError: the file does not hold questions, or contradicts itself.
        OSError: it cannot be read.
    """
    document = read_document(path, "questions")
    try:
        check_fields(document, "the file", {"spaces": dict, "questions": list})
        spaces = spaces_from_json(document["spaces"])
        questions = []
        for number, entry in enumerate(document["questions"]):
            where = f"question number {number}"
            check_fields(entry, where, _FIELDS)
            pattern = pattern_of(entry, where, spaces)
            questions.append(Question(entry["id"], pattern, entry["label"]))
    except CanaryError as error:
        raise CanaryError(f"{path}: {error}") from error
    return tuple(questions)
