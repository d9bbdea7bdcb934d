"""The layout of ATIS and slot-gated SNIPS: a file of sentences beside a file of labels."""

from pathlib import Path

from modiva.corpora.reading import Pair, RawCorpus, pair, read_text, split_paths
from modiva.errors import ModivaError

_LABELS = ("label", "labels", "label.txt", "labels.txt", "intent", "intents")


def matches(folder: Path) -> bool:
    """Return whether `folder`, or one inside it, holds seq.in."""
    return any(folder.glob("seq.in")) or any(folder.glob("*/seq.in"))


def files(folder: Path) -> list[Path]:
    """Return the files of `folder` that `read` may read."""
    names = {"seq.in", *_LABELS}
    return sorted(path for path in (*folder.iterdir(), *folder.glob("*/*")) if path.name in names)


def read(folder: Path) -> RawCorpus:
    """Read train, valid (or dev) and test folders, or one folder that is train alone.

    Args:
        folder: holds the split folders, or seq.in and its labels.

    Raises:
        ModivaError: no labels, or not as many labels as sentences.
    """
    if (folder / "seq.in").is_file():
        return RawCorpus({"train": _split(folder)})
    folders = split_paths((p.parent for p in folder.glob("*/seq.in")), folder)
    return RawCorpus({split: _split(path) for split, path in folders.items()})


def _split(folder: Path) -> list[Pair]:
    sentences = folder / "seq.in"
    labels = next((folder / name for name in _LABELS if (folder / name).is_file()), None)
    if labels is None:
        raise ModivaError(
            f"{folder} holds seq.in but no labels: add a file `label`, one intent per line"
        )
    texts, intents = _lines(sentences), _lines(labels)
    if len(texts) != len(intents):
        raise ModivaError(
            f"{folder}: {sentences.name} has {len(texts)} lines and {labels.name} {len(intents)}: "
            "each sentence needs one label on the same line"
        )
    return [
        made
        for line, (text, intent) in enumerate(zip(texts, intents, strict=True), start=1)
        for made in pair(text, intent, f"{sentences}, line {line}")
    ]


def _lines(path: Path) -> list[str]:
    """Return lines of a file; blank lines at the end do not count.

    A carriage return ends a line only where no line feed does: published files have some inside.
    """
    text = read_text(path).replace("\r\n", "\n")
    text = text if "\n" in text else text.replace("\r", "\n")
    return text.rstrip("\n").split("\n")
