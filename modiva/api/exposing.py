"""`modiva.expose`: which secrets of its training data a model gives away, as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerBase

from attacks.checkpoint import load_checkpoint
from modiva.api.attacking import Model, Pair, loaded
from modiva.api.results import Result
from modiva.corpora import read_pairs
from modiva.natural import Exposed, Finder
from modiva.natural import expose as expose_pairs

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class ExposeResult(Result):
    """The secrets of members and non-members, each with its place in its space.

    Args:
        found: all that was ranked.
        reveal: whether tables and pages show the secrets.
        asked: settings, as the page shows them.
    """

    found: Exposed
    reveal: bool = False
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was asked for."""
        return self.asked

    def summary(self) -> str:
        """Return the answer, and what a reader must know."""
        return "\n".join([self.found.sentence, *self.found.notes])

    def frame(self) -> "pd.DataFrame":
        """Return one row per secret of both sides, the most exposed members first."""
        import pandas as pd

        first = self.found.most_exposed(len(self.found.ranked))
        rows = [*first, *(one for one in self.found.ranked if one.side != "members")]
        frame = pd.DataFrame([one.as_dict(reveal=self.reveal) for one in rows])
        without = frame["reference_percentile"].isna().all()
        return frame.drop(columns="reference_percentile") if without else frame

    def report(self, path: str | Path) -> Path:
        """Write exposed.csv and the page exposed.html into a folder; return the page's path.

        Args:
            path: of the folder.
        """
        return self.write(Path(path), top=10)[-1]

    def write(self, folder: Path, *, top: int) -> list[Path]:
        """Write the table and the page with the `top` most exposed secrets; return their paths."""
        from modiva.report import write_exposed

        return write_exposed(folder, self.found, self.settings, top=top, reveal=self.reveal)


def expose(
    model: Model,
    tokenizer: PreTrainedTokenizerBase | None,
    members: Any,
    nonmembers: Any,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    reference: Pair | str | Path | None = None,
    patterns: str | Path | Mapping[str, str] | None = None,
    marked: bool = False,
    region: str = "US",
    candidates: int = 10_000,
    sentences: int = 500,
    reveal: bool = False,
    device: str = "auto",
    seed: int = 0,
    progress: bool = False,
) -> ExposeResult:
    """Say which secrets that stand in training data anyway a classifier gives away.

    Args:
        model: a sequence classifier, or a folder or hub name of one.
        tokenizer: of the model; None for a folder, which has its own.
        members: sentences with labels that the model was trained on: pairs, records, a DataFrame, a
            Dataset, or a file.
        nonmembers: the same of the same source that it was not trained on.
        text_column: name of the column of texts; found by its name if not given.
        label_column: of the column of labels.
        reference: a model that was not trained on the members, with its tokenizer; or its folder.
        patterns: regular expressions of your own by name, or a YAML file of them.
        marked: secrets are those in braces, and no others.
        region: country of phone numbers that do not begin with +.
        candidates: spaces of up to so many are scored whole; of larger ones a sample.
        sentences: at most so many of each side are ranked, drawn by `seed`.
        reveal: whether tables and pages show the secrets.
        device: of models that are loaded.
        seed: of every random draw.
        progress: whether a bar is drawn in any case; else where a terminal shows it.

    Raises:
        AttackError, ModivaError: what cannot be read, found or scored, and the remedy.
    """
    finder = Finder.of(patterns, region, marked)
    sides = [
        read_pairs(data, text_column=text_column, label_column=label_column, name=name)
        for data, name in ((members, "the members"), (nonmembers, "the non-members"))
    ]
    target, its = loaded(model, tokenizer, device)
    if isinstance(reference, str | Path):
        named: str | None = str(reference)
        reference = load_checkpoint(str(reference), device=device)
    else:
        named = None if reference is None else type(reference[0]).__name__
    found = expose_pairs(
        target, its, *sides, reference=reference, finder=finder, candidates=candidates,
        sentences=sentences, seed=seed, progress=progress,
    )  # fmt: skip
    settings = {
        "checkpoint": str(model) if isinstance(model, str | Path) else type(model).__name__,
        "members_file": _name(members),
        "nonmembers_file": _name(nonmembers),
        "reference": named,
        "seed": seed,
    }
    return ExposeResult(found, reveal, settings)


def _name(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else f"given as {type(data).__name__}"
