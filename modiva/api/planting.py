"""`modiva.plant`: secrets put into data of any form, and scored once an attack is done."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canaries import Ledger, Planting, get_pattern, load_patterns
from canaries import plant as plant_pairs
from canaries.ledger import Canary
from canaries.planting import RANDOM
from modiva.api.attacking import AttackResult
from modiva.api.results import Result
from modiva.api.scoring import Scores, scores
from modiva.corpora import insert, load, read_pairs
from modiva.counts import plural
from modiva.errors import ModivaError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class PlantedData(Result):
    """Data with secrets in it, and the ledger of what was planted: it belongs to the owner.

    Args:
        data: of the form that was given, with the planted sentences at random places.
        original: before planting.
        ledger: the secrets, and the controls that were never planted.
        plantings: what was planted, one entry for each pattern.
        text_column: of the original; None is found by its name.
        label_column: of the original.
    """

    data: Any
    original: Any
    ledger: Ledger
    plantings: tuple[Planting, ...]
    text_column: str | None
    label_column: str | None

    @property
    def template(self) -> str:
        """The sentence to attack, of the first pattern: its slots hold the secret."""
        return self.plantings[0].pattern.template

    @property
    def label(self) -> str:
        """The label of the first secret."""
        return self.ledger.canaries[0].label

    def score(self, *found: AttackResult) -> Scores:
        """Compare what attacks found with the secrets and with the controls.

        Raises:
            ModivaError: an attack on a sentence that has none of the planted forms.
        """
        return scores(self.ledger, [result.extraction for result in found])

    def save(self, path: str | Path) -> Path:
        """Write the ledger, which only `modiva score` reads; keep it from attackers."""
        return self.ledger.save(path)

    def summary(self) -> str:
        """Return how many secrets were planted, and how often each stands in the data."""
        canaries = self.ledger.canaries
        return "\n".join(
            [f"{plural(len(canaries), 'secret')} planted."]
            + [
                f"{canary.template!r} stands {plural(canary.repetitions, 'time')} as "
                f"{canary.label}; {plural(len(canary.controls), 'control')} never."
                for canary in canaries
            ]
        )

    def frame(self) -> "pd.DataFrame":
        """Return one row per secret."""
        import pandas as pd

        names = ["id", "template", "secret", "label", "repetitions"]
        rows = [
            {**{name: getattr(canary, name) for name in names}, "secret": " ".join(canary.secret)}
            for canary in self.ledger.canaries
        ]
        return pd.DataFrame(rows, columns=names)


def plant(
    data: Any,
    pattern: str | Sequence[str],
    *,
    label: str | int = RANDOM,
    repetitions: int = 10,
    secrets: int = 1,
    controls: int = 5,
    text_column: str | None = None,
    label_column: str | None = None,
    patterns_file: str | Path | None = None,
    seed: int = 0,
) -> PlantedData:
    """Plant secrets that are drawn at random in training data.

    Args:
        data: pairs, records, a DataFrame, a Dataset, these by split (secrets go to train), a file,
            or a corpus's name.
        pattern: what to plant: "pin", "phone", or a sentence such as "my code is {digit*4:glued}";
            or several of these.
        label: "random" for a random label of the data, "new", or one of its labels.
        repetitions: how often each secret stands in the data.
        secrets: of each pattern.
        controls: drawn with each secret and never planted.
        text_column: name of the column of texts; found by its name if not given.
        label_column: of the column of labels.
        patterns_file: YAML file of own patterns and word lists.
        seed: decides secrets and places.

    Raises:
        CanaryError, ModivaError: what cannot be planted or read, and the remedy.
    """
    original = data
    if isinstance(data, str | Path):
        corpus = load(data, text_column=text_column, label_column=label_column)
        original = {split: [*map(tuple, own)] for split, own in corpus.splits.items()}
        text_column = label_column = None
    pairs = read_pairs(original, text_column=text_column, label_column=label_column, split="train")
    names = [pattern] if isinstance(pattern, str) else list(pattern)
    if not names:
        raise ModivaError("no pattern to plant: give one, such as 'my code is {digit*4}'")
    patterns, spaces = load_patterns(patterns_file) if patterns_file else ({}, {})
    words = Counter(word for text, _ in pairs for word in text.split())
    vocabulary = [word for word, count in words.most_common() if count > 1]
    plantings = tuple(
        Planting(
            get_pattern(name, vocabulary=vocabulary, patterns=patterns, spaces=spaces),
            repetitions,
            str(label),
            secrets,
            controls,
        )
        for name in names
    )
    ledger = plant_pairs(pairs, (), plantings, seed=seed).ledger

    def order(rows: int) -> list[int | tuple[str, str]]:
        return [
            (place.text, place.label) if isinstance(place, Canary) else place
            for place in ledger.order(rows)
        ]

    filled = insert(original, order, text_column=text_column, label_column=label_column)
    return PlantedData(filled, original, ledger, plantings, text_column, label_column)
