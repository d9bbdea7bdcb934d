"""`modiva ranker fit`: learn on shadow models to rank the candidates of a target."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, subcommand

from modiva.condition import Condition
from modiva.corpora import choose_columns
from modiva.errors import ModivaError
from modiva.files import atomic_folder


@dataclass(frozen=True)
class Fit:
    """Train shadow models on data of your own and fit a ranker on the secrets planted in them.

    The shadow models should be trained as the target was: same architecture, size and recipe, on
    other sentences of the same kind. Used by `modiva attack --ranker FOLDER`.
    """

    out: Path
    """Folder of the ranker to write; must not exist yet."""
    corpus: str = "home-assistant"
    """The attacker's sentences: a name from `modiva corpus list`, or a file or folder."""
    text_column: str | None = None
    """Name or number of the column of texts, where a file of your own has several."""
    label_column: str | None = None
    """Name or number of the column of intents."""
    target: str = "lstm"
    """cnn, lstm, lstm-char, transformer, minilm, or a Hugging Face folder or name."""
    size: Literal["small", "full"] = "full"
    """Of our own architectures: embeddings and hidden 32 (small) or 100 (full)."""
    pattern: tuple[str, ...] = ("call",)
    """Patterns to plant, such as call, pin:6, or a template 'my code is {digit*4}'."""
    patterns_file: str | None = None
    """YAML file of own patterns and word lists."""
    shadows: int = 40
    """Shadow models; 20 give most of the gain."""
    sentences: int = 1000
    """Train each on at most so many sentences, drawn anew for each; 0 is the whole split."""
    epochs: int | None = None
    """At most so many epochs; the default depends on target and defense."""
    defense: str = "none"
    """The defense that the target was trained with."""
    initial: bool = False
    """Use the weights before training: for targets fine-tuned from a public checkpoint."""
    seed: int = 0
    """Decides secrets, sentences, weights and batches."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""

    def run(self) -> int:
        """Train the shadow models, fit, save, and say where."""
        from modiva.studies import check_planting, train_ranker
        from modiva.training import prepare

        if self.out.exists():
            raise ModivaError(f"--out {self.out} exists: name another or remove it")
        condition = Condition(
            corpus=choose_columns(self.corpus, self.text_column, self.label_column),
            target=self.target,
            size=self.size,
            patterns=self.pattern,
            controls=1,
            patterns_file=self.patterns_file,
            sentences=self.sentences,
            defense=self.defense,
            epochs=self.epochs,
        )
        check_planting(prepare(condition))
        ranker = train_ranker(
            condition,
            shadows=self.shadows,
            initial=self.initial,
            seed=self.seed,
            device=self.device,
            progress=True,
        )
        with atomic_folder(self.out) as folder:
            ranker.save(folder)
        print(f"ranker      {self.out}")
        print(f"fitted on   {ranker.facts['problems']} secrets in {self.shadows} shadow models")
        return 0


@dataclass(frozen=True)
class Show:
    """Say what a ranker was fitted on and what it weighs most."""

    folder: Positional[Path]
    """The ranker's folder."""
    top: int = 15
    """How many weights to print."""

    def run(self) -> int:
        """Print facts and the largest weights, of standardised features."""
        from attacks import Ranker

        ranker = Ranker.load(self.folder)
        for name, value in ranker.facts.items():
            print(f"{name:<18}{value}")
        for title, weights in (("weights", ranker.weights), ("second look", ranker.second)):
            if weights:
                print(f"{title} (features have deviation 1; higher is likelier)")
            for name in sorted(weights, key=lambda name: -abs(weights[name]))[: self.top]:
                print(f"  {name:<34}{weights[name]:+.3f}")
        return 0


@dataclass(frozen=True)
class RankerCommand:
    """Rankers: candidates ordered by all that the weights say of them."""

    action: Annotated[Fit, subcommand("fit")] | Annotated[Show, subcommand("show")]

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()
