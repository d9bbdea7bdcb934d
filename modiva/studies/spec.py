"""What an audit is: a frozen, validated specification and the cells that it expands to."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from attacks import get_attack, get_objective
from canaries import Pattern
from modiva.classifiers import parse_target
from modiva.corpora import Corpus
from modiva.errors import ModivaError
from modiva.training import DEFENSES, parse_defense

Size = Literal["small", "full"]


@dataclass(frozen=True)
class AuditSpec:
    """A grid: every combination of corpus, target, defense, noise and repetitions is one cell.

    All patterns are planted in the same model, one canary each, with a label drawn at random for
    every model. Every cell trains `models` targets; models of the same index share their secrets
    across cells, so that conditions are compared on the same canaries.
    """

    corpus: tuple[str, ...] = ("home-assistant",)
    """Names from `modiva corpus list`, or files and folders of your own."""
    target: tuple[str, ...] = ("cnn", "lstm")
    """cnn, lstm, lstm-char, transformer, minilm, or a Hugging Face folder or name to fine-tune."""
    pattern: tuple[str, ...] = ("call", "pin")
    """call, pin:6, color, phone, ..., or a template such as 'my code is {digit*4}'."""
    repetitions: tuple[int, ...] = (1, 10, 100)
    """How often each canary stands in the training split; 0 plants nothing: the floor."""
    defense: tuple[str, ...] = ("none",)
    """none, dropout, early-stopping, char-embeddings, or several joined with +."""
    noise: tuple[float, ...] = (0.0, 0.5, 1.0)
    """Noise multipliers of differentially private training; 0 is ordinary training."""
    models: int = 6
    """Independently trained targets a cell, each with secrets of its own."""
    attack: tuple[str, ...] = ("parikh2022", "coordinate")
    """Searches and recipes, see docs/attacks.md."""
    objective: str = "loss"
    """What the searches minimise; a recipe has its own."""
    seed: int = 0
    """Decides secrets, sentences, weights, batches and noise."""
    size: Size = "small"
    """Of our own architectures: embeddings and hidden 32 (small) or 100 (full)."""
    sentences: int = 1000
    """Train each target on at most so many sentences, drawn anew for each; 0 is the whole split."""
    epochs: int | None = None
    """At most so many epochs; the default depends on target and defense."""
    label: str = "random"
    """The canaries' intent: random (for every model), new, or a given one."""
    secrets: int = 1
    """Secrets of every pattern planted in each model, all with the same repetitions."""
    controls: int = 5
    """Secrets drawn with each planted one and never planted."""
    share_valid: bool = False
    """Plant the same share in the validation split too."""
    patterns_file: str | None = None
    """YAML file of own patterns and word lists."""

    def __post_init__(self) -> None:
        for name in ("corpus", "target", "pattern", "repetitions", "defense", "noise", "attack"):
            values = getattr(self, name)
            if not values:
                raise ModivaError(f"--{name} is empty: give at least one value")
            if len(set(values)) != len(values):
                raise ModivaError(f"--{name} {' '.join(map(str, values))} names a value twice")
        for repetitions in self.repetitions:
            if repetitions < 0:
                raise ModivaError(f"--repetitions {repetitions}: must be 0 (not planted) or more")
        for noise in self.noise:
            if not (math.isfinite(noise) and noise >= 0):
                raise ModivaError(
                    f"--noise {noise}: a noise multiplier is 0 (not private) or a positive number"
                )
        for name, least in (
            ("models", 1),
            ("secrets", 1),
            ("controls", 1),
            ("seed", 0),
            ("sentences", 0),
        ):
            if getattr(self, name) < least:
                raise ModivaError(f"--{name} {getattr(self, name)}: must be {least} or more")
        if self.epochs is not None and self.epochs < 1:
            raise ModivaError(f"--epochs {self.epochs}: must be 1 or more")
        for target in self.target:
            parse_target(target, self.size)
        for defense in self.defense:
            parse_defense(defense)
        get_objective(self.objective)
        for attack in self.attack:
            get_attack(attack)

    def cells(self) -> tuple["Cell", ...]:
        """Expand the grid.

        A positive noise multiplier means private training, so `dp` is added to a defense that is
        not private; a noise multiplier of 0 means none, and `dp` or `edp` is taken from it.
        `--defense none dp --noise 0 1` is thus two cells, not four.
        """
        cells: dict[Cell, None] = {}  # a dict keeps the order and drops what was named twice
        for corpus in self.corpus:
            for target in self.target:
                for defense in self.defense:
                    for noise in self.noise:
                        for repetitions in self.repetitions:
                            cell = Cell(
                                corpus=corpus,
                                target=target,
                                defense=with_noise(defense, noise),
                                noise=noise,
                                repetitions=repetitions,
                                pattern=self.pattern,
                                attack=self.attack,
                                objective=self.objective,
                                models=self.models,
                                seed=self.seed,
                                size=self.size,
                                sentences=self.sentences,
                                epochs=self.epochs,
                                label=self.label,
                                secrets=self.secrets,
                                controls=self.controls,
                                share_valid=self.share_valid,
                                patterns_file=self.patterns_file,
                            )
                            cells[cell] = None
        return tuple(cells)

    def as_dict(self) -> dict[str, Any]:
        """The specification as plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


@dataclass(frozen=True)
class Cell:
    """One condition: `models` independently trained targets, attacked and scored."""

    corpus: str
    target: str
    defense: str
    noise: float
    repetitions: int
    pattern: tuple[str, ...]
    attack: tuple[str, ...]
    objective: str
    models: int
    seed: int
    size: Size
    sentences: int
    epochs: int | None
    label: str
    secrets: int
    controls: int
    share_valid: bool
    patterns_file: str | None

    @property
    def private(self) -> bool:
        """Whether its targets are trained with differential privacy."""
        return self.noise > 0

    def key(self, data: str, code: str) -> str:
        """Content address: what is computed, on which data, by which version of the code."""
        content = json.dumps([dataclasses.asdict(self), data, code], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def __str__(self) -> str:
        noise = f" noise {self.noise:g}" if self.private else ""
        return f"{self.corpus} {self.target} {self.defense}{noise} R={self.repetitions}"


def with_noise(defense: str, noise: float) -> str:
    """The name of `defense` once `noise` says whether training is private."""
    parts = parse_defense(defense)
    private = [part for part in parts if DEFENSES[part].private] or ["dp"]
    rest = [part for part in parts if part != "none" and not DEFENSES[part].private]
    return "+".join(rest + (private if noise > 0 else [])) or "none"


def check_cell(cell: Cell, corpus: Corpus, patterns: Sequence[Pattern]) -> None:
    """Raise on what a cell could not be run with: too few secrets, or an intent unknown."""
    for pattern in patterns:
        needed = cell.secrets * (1 + cell.controls)
        if pattern.size < needed:
            raise ModivaError(
                f"--pattern {pattern.name} has {pattern.size} secrets, fewer than the {needed} "
                "that --secrets and --controls ask for: take longer slots or fewer controls"
            )
    if cell.label not in ("random", "new", *corpus.intents):
        raise ModivaError(
            f"--label {cell.label}: {corpus.name} has no such intent; use random, new or one of "
            f"{', '.join(corpus.intents)}"
        )
