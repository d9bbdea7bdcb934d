"""Which class a label names, and what kind of head gives it its logit."""

from typing import Any

from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.objectives import is_multi_label
from attacks.problem import some

BY_NAME, BY_INDEX = "name:", "index:"


def resolve_label(model: PreTrainedModel, label: str | int) -> int:
    """Return the class index of a label's name or index in `model.config`.

    A number is an index. Text is a name of `id2label` or `label2id`, or an index in digits;
    "name:5" and "index:5" tell the two apart.

    Raises:
        AttackError: the model has no such label, several classes have this name, it is one class
            by its name and another by its index, or the head is not a classifier's.
    """
    config: Any = model.config
    count = _classes(config)
    names = {int(index): str(name) for index, name in (config.id2label or {}).items()}
    if isinstance(label, int) or label.startswith(BY_INDEX):
        text = str(label).removeprefix(BY_INDEX)
        if text.isdecimal() and int(text) < count:
            return int(text)
        raise AttackError(f"label {text} is not in 0..{count - 1}")
    name = label.removeprefix(BY_NAME)
    found = {index for index, its in names.items() if its == name}
    stated = (config.label2id or {}).get(name)
    if isinstance(stated, int) and 0 <= stated < count:
        found.add(stated)
    if len(found) > 1:
        raise AttackError(
            f"label {name!r} is the name of classes {', '.join(map(str, sorted(found)))}: give "
            "the index of the one that you mean"
        )
    index = int(label) if label.isdecimal() and int(label) < count else None
    if index is not None and found - {index}:
        raise AttackError(
            f"label {label!r} is the name of class {min(found)} and the index of class {index}: "
            f"write {BY_NAME}{label} or {BY_INDEX}{label}"
        )
    if found:
        return found.pop()
    if index is not None:
        return index
    if label.isdecimal():
        raise AttackError(f"label {label} is not in 0..{count - 1}")
    raise AttackError(f"unknown label {name!r}: the model has {some(list(names.values()))}")


def _classes(config: Any) -> int:
    """Count the classes that the head tells apart."""
    count = int(config.num_labels or 0)
    if config.problem_type == "regression" or (count == 1 and not is_multi_label(config)):
        raise AttackError(
            f"the model's head is a regression ({count} output(s), problem_type "
            f"{config.problem_type!r}), not a classifier: an output that was trained as a binary "
            "class needs problem_type multi_label_classification in config.json"
        )
    if count < 1:
        raise AttackError("the model has no labels: it is not a classifier")
    return count
