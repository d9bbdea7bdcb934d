"""Labels of the user's sentences among those of a checkpoint."""

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import PreTrainedModel

from attacks import AttackError
from attacks.labels import resolve_label
from canaries.reading import quote
from modiva.counts import plural
from modiva.errors import ModivaError

_SHOWN = 5  # labels in an error


def resolve_labels(
    model: PreTrainedModel, labels: Iterable[str], *, checkpoint: str, side: str
) -> dict[str, int]:
    """Return the class index of each distinct label.

    Args:
        model: the classifier.
        labels: names or indices.
        checkpoint: what an error calls the classifier.
        side: what it calls the sentences.

    Raises:
        ModivaError: labels that the classifier does not have.
    """
    known: dict[str, int] = {}
    strange = []
    for label in dict.fromkeys(labels):
        try:
            known[label] = resolve_label(model, label)
        except AttackError:
            strange.append(label)
    if strange:
        names = list((model.config.id2label or {}).values())
        raise ModivaError(
            f"the {checkpoint} does not have {plural(len(strange), 'label')} of the {side}: "
            f"{_some(strange)}; it has {_some(names)}: give labels by these names or by index"
        )
    return known


def _some(names: Sequence[Any]) -> str:
    shown = ", ".join(quote(str(name)) for name in names[:_SHOWN])
    return shown + ", ..." * (len(names) > _SHOWN)
