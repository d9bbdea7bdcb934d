"""`modiva expose`: which secrets of its training data does a checkpoint give away, as it is."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from canaries.reading import json_text
from modiva.errors import ModivaError
from modiva.validate import at_least


@dataclass(frozen=True)
class Expose:
    """Say which secrets that stand in training data anyway a classifier gives away.

    Nothing is planted and nothing trained. Numbers, codes, phone numbers, e-mail addresses, dates
    and amounts of the members are ranked among all that could stand in their place, and compared
    with those of sentences that the classifier has not seen. Secrets are masked in all output.
    """

    checkpoint: Positional[str]
    """Folder (or Hugging Face hub name) of a sequence classifier with safetensors weights."""
    members: str
    """File of sentences with labels that the classifier was trained on: CSV, TSV, JSON lines,
    Parquet or Arrow; FILE#text=COLUMN,intent=COLUMN chooses columns."""
    nonmembers: str
    """The same of the same source that it was not trained on, such as the test split."""
    text_column: str | None = None
    """Name or number of the column of texts, where the files have several."""
    label_column: str | None = None
    """Name or number of the column of intents."""
    reference: str | None = None
    """A checkpoint that was not trained on the members: ranks are compared with those under it."""
    patterns: Path | None = None
    """YAML of regular expressions of your own, such as badge: '[A-Z]{2}[0-9]{3}'; the first group
    is the secret, or all of it."""
    marked: bool = False
    """Secrets are those in braces, as in "my pin is {7391}", and no others."""
    region: str = "US"
    """Country of phone numbers that do not begin with +."""
    candidates: int = 10_000
    """Spaces of up to so many candidates are scored whole; of larger ones at most 2,000 others."""
    sentences: int = 500
    """At most so many sentences of each side are ranked, drawn at random."""
    top: int = 10
    """Secrets printed, the most exposed first."""
    reveal: bool = False
    """Show the secrets."""
    json: bool = False
    """Print JSON instead of tables."""
    out: Path | None = None
    """Folder for exposed.csv and the page exposed.html."""
    device: str = "auto"
    """auto, cpu or cuda."""
    seed: int = 0
    """Of every random draw."""

    def run(self) -> int:
        """Rank, compare, print, and write the files."""
        at_least(self, 100, "candidates", flags=True)
        at_least(self, 1, "sentences", "top", flags=True)
        at_least(self, 0, "seed", flags=True)
        if self.out is not None and self.out.exists() and not self.out.is_dir():
            raise ModivaError(f"--out {self.out} is a file: give a folder")
        from modiva.api import expose

        result = expose(
            self.checkpoint,
            None,
            self.members,
            self.nonmembers,
            text_column=self.text_column,
            label_column=self.label_column,
            reference=self.reference,
            patterns=self.patterns,
            marked=self.marked,
            region=self.region,
            candidates=self.candidates,
            sentences=self.sentences,
            reveal=self.reveal,
            device=self.device,
            seed=self.seed,
        )
        written = result.write(self.out, top=self.top) if self.out is not None else []
        found = result.found
        if self.json:
            told = dict(result.settings) | found.as_dict(top=self.top, reveal=self.reveal)
            print(json_text(told))
        else:
            print(found.table(top=self.top, reveal=self.reveal))
            for path in written:
                print(path)
        return 0
