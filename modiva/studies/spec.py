"""What a study is: frozen grids of settings, checked by value, and the cells that they expand to.

Nothing here imports PyTorch, so that the state of a study is told at once; names of targets,
defenses and attacks are checked against what there is by `modiva.studies.planning`.
"""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modiva.errors import ModivaError

Size = Literal["small", "full"]
# The settings whose combinations are the cells.
_GRID = ("corpus", "target", "defense", "noise", "repetitions")
# Models of one architecture that train side by side: enough to fill a core, few for the memory.
STACK = 20
# Attacks with a ranker: half of the sentences are the attacker's, and no target's.
LEARNED = ("ranker", "ranker-initial")
# Seeds below are of targets, from here on of shadow models.
MOST_MODELS = 50_000


@dataclass(frozen=True)
class Data:
    """The sentences that targets are trained on."""

    corpus: tuple[str, ...] = ("home-assistant",)
    """Names from `modiva corpus list`, or files and folders of your own."""
    sentences: int = 1000
    """Train each target on at most so many sentences, drawn anew for each; 0 is the whole split."""


@dataclass(frozen=True)
class Targets:
    """The classifiers that are trained."""

    target: tuple[str, ...] = ("cnn", "lstm")
    """cnn, lstm, lstm-char, transformer, minilm, or a Hugging Face folder or name to fine-tune."""
    size: Size = "small"
    """Of our own architectures: embeddings and hidden 32 (small) or 100 (full)."""
    epochs: int | None = None
    """At most so many epochs; the default depends on target and defense."""
    models: int = 6
    """Independently trained targets per cell, each with secrets of its own."""
    seed: int = 0
    """Decides secrets, sentences, weights, batches and noise."""
    stack: int = STACK
    """Models that train side by side as one step; fewer spread a cell over more workers."""


@dataclass(frozen=True)
class Defended:
    """How the targets are defended."""

    defense: tuple[str, ...] = ("none",)
    """none, dropout, early-stopping, char-embeddings, or several joined with +."""
    noise: tuple[float, ...] = (0.0, 0.5, 1.0)
    """Noise multipliers of differentially private training; 0 is ordinary training."""


@dataclass(frozen=True)
class Planted:
    """The secrets that are planted in the sentences."""

    pattern: tuple[str, ...] = ("call", "pin")
    """call, pin:6, color, phone, ..., or a template such as 'my code is {digit*4}'."""
    patterns_file: str | None = None
    """YAML file of own patterns and word lists."""
    repetitions: tuple[int, ...] = (1, 10, 100)
    """How often each canary stands in the training split; 0 plants nothing: the floor."""
    label: str = "random"
    """The canaries' intent: random (for every model), new, or a given one."""
    secrets: int = 1
    """Secrets of every pattern planted in each model, all with the same repetitions."""
    controls: int = 5
    """Secrets drawn with each planted one and never planted."""
    share_valid: bool = False
    """Plant the same share in the validation split too."""


@dataclass(frozen=True)
class Attacked:
    """How the trained targets are attacked."""

    attack: tuple[str, ...] = ("parikh2022", "coordinate")
    """Searches and recipes, see docs/attacks.md."""
    objective: str = "loss"
    """What the searches minimise; a recipe has its own."""
    shadows: int = 40
    """Shadow models that the attacks `ranker` and `ranker-initial` learn from."""


@dataclass(frozen=True)
class AuditSpec(Attacked, Planted, Defended, Targets, Data):
    """A grid: every combination of corpus, target, defense, noise and repetitions is one cell.

    All patterns are planted in the same model, one canary each, with a label drawn at random for
    every model. Every cell trains `models` targets; models of the same index share their secrets
    across cells, so that conditions are compared on the same canaries. The bases are the groups of
    settings that `modiva audit --help` shows.
    """

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
            ("shadows", 1),
        ):
            if getattr(self, name) < least:
                raise ModivaError(f"--{name} {getattr(self, name)}: must be {least} or more")
        for name in ("models", "shadows"):
            if getattr(self, name) > MOST_MODELS:
                raise ModivaError(f"--{name} {getattr(self, name)}: {MOST_MODELS} at most")
        if not 1 <= self.stack <= STACK:
            raise ModivaError(f"--stack {self.stack}: must be 1 to {STACK}")
        if self.epochs is not None and self.epochs < 1:
            raise ModivaError(f"--epochs {self.epochs}: must be 1 or more")

    def cells(self) -> tuple["Cell", ...]:
        """Expand the grid.

        A positive noise multiplier means private training, so `dp` is added to a defense that is
        not private; a noise multiplier of 0 means none, and `dp` or `edp` is taken from it.
        `--defense none dp --noise 0 1` is thus two cells, not four.
        """
        from modiva.studies.planning import with_noise

        one_a_cell = {f.name for f in dataclasses.fields(Cell)} - {*_GRID, "side"}
        shared = {name: getattr(self, name) for name in one_a_cell}
        shared["side"] = "targets" if {*LEARNED} & {*self.attack} else "all"
        cells: dict[Cell, None] = {}  # a dict keeps the order and drops what was named twice
        for corpus, target, defense, noise, repetitions in itertools.product(
            self.corpus, self.target, self.defense, self.noise, self.repetitions
        ):
            cell = Cell(
                corpus=corpus,
                target=target,
                defense=with_noise(defense, noise),
                noise=noise,
                repetitions=repetitions,
                **shared,
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
    stack: int
    shadows: int
    side: str  # whose sentences its models train on: "all", "targets" or "shadows"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Cell":
        """The cell whose `dataclasses.asdict` went through JSON."""
        lists = {name: tuple(values[name]) for name in ("pattern", "attack")}
        return cls(**{**values, **lists})

    @property
    def private(self) -> bool:
        """Whether its targets are trained with differential privacy."""
        return self.noise > 0

    def __str__(self) -> str:
        noise = f" noise {self.noise:g}" if self.private else ""
        return f"{self.corpus} {self.target} {self.defense}{noise} R={self.repetitions}"


@dataclass(frozen=True)
class Study:
    """One or several grids whose cells are run and reported together.

    Args:
        grids: at least one; a cell that two of them hold is run once.

    Raises:
        ModivaError: no grid.
    """

    grids: tuple[AuditSpec, ...]

    def __post_init__(self) -> None:
        if not self.grids:
            raise ModivaError("a study without a grid: give at least one")

    def cells(self) -> tuple[Cell, ...]:
        """The cells of all grids, each once."""
        return tuple(dict.fromkeys(cell for grid in self.grids for cell in grid.cells()))

    def as_dict(self) -> dict[str, Any]:
        """The study as plain JSON values: of one grid its settings, of several their list."""
        if len(self.grids) == 1:
            return self.grids[0].as_dict()
        return {"grids": [grid.as_dict() for grid in self.grids]}


def content_key(*parts: Any) -> str:
    """A content address: 24 hexadecimal digits of the parts as JSON."""
    content = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:24]
