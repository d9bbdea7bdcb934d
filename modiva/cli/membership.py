"""`modiva membership`: does a checkpoint tell the sentences that it was trained on from others?"""

import json
from dataclasses import asdict, dataclass

from tyro.conf import Positional

from modiva.validate import at_least


@dataclass(frozen=True)
class Membership:
    """Say whether a classifier tells the sentences that it was trained on from others.

    With --references, models of the same architecture are trained on random halves of the
    non-members: they say how hard a sentence is by itself, and the attack becomes sharper.

    $ modiva membership ./my-intent-model --members train.csv --nonmembers test.csv --references 8
    """

    checkpoint: Positional[str]
    """Folder (or Hugging Face hub name) of a sequence classifier with safetensors weights."""
    members: str
    """File of sentences with labels that the classifier was trained on: CSV, TSV or JSON lines;
    FILE#text=COLUMN,intent=COLUMN chooses columns."""
    nonmembers: str
    """The same of the same source that it was not trained on, such as the test split."""
    references: int = 0
    """Models to train on random halves of the non-members; 0 compares the loss alone."""
    initial: str | None = None
    """Public checkpoint that the classifier was fine-tuned from: references start from it. If not
    given, they start from random weights of the classifier's configuration."""
    epochs: int | None = None
    """Of references: about those of your own training; the default depends on the architecture."""
    json: bool = False
    """Print JSON instead of a table."""
    device: str = "auto"
    """auto, cpu or cuda."""
    seed: int = 0
    """Of every random draw."""

    def run(self) -> int:
        """Compare and print."""
        at_least(self, 0, "references", "seed", flags=True)
        at_least(self, 1, "epochs", flags=True)
        from modiva.corpora import read_pairs
        from modiva.natural import infer_members

        members, nonmembers = read_pairs(self.members), read_pairs(self.nonmembers)
        from modiva.classifiers import load

        found = infer_members(
            load(self.checkpoint), members, nonmembers, references=self.references,
            initial=self.initial, epochs=self.epochs, seed=self.seed, device=self.device,
            progress=not self.json,
        )  # fmt: skip
        if self.json:
            told = {
                "checkpoint": self.checkpoint,
                "members_file": self.members,
                "nonmembers_file": self.nonmembers,
                "seed": self.seed,
            }
            print(json.dumps(told | asdict(found), indent=2))
        else:
            print(found.table())
        return 0
