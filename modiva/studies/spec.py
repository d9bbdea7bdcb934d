"""What a study is: frozen grids of settings, checked by value, and the cells that they expand to.

Nothing here imports PyTorch, so that the state of a study is told at once; names of targets,
defenses and attacks are checked against what there is by `modiva.studies.checks`.
"""

import dataclasses
import hashlib
import itertools
import json
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canaries import CanaryError, get_pattern, load_patterns
from modiva.condition import NONE, Condition, Privacy, Side, split_defense
from modiva.errors import ModivaError
from modiva.handling import CENTRAL, SEEN, SERVERS, Federated, Seen
from modiva.studies.settings import (
    STACK,
    Attacked,
    Data,
    Defended,
    Planted,
    Targets,
    Trained,
)
from modiva.validate import at_least, positive, require

# Attacks with a ranker: half of the sentences are the attacker's, and no target's.
LEARNED = ("ranker", "ranker-initial")
# Seeds below are of targets, from here on of shadow models.
MOST_MODELS = 50_000
# A grid is written in a line and expanded into a list: combinations of a study.
MOST_CELLS = 10_000
# Half of a pool are references of the other half, and two of them say what is usual.
FEWEST_POOLED = 4
# Attacks of a study that names none: the published one, and of up to so many secrets all scored.
PUBLISHED, ENUMERATED = "parikh2022", 20_000
# Seeds of models, up to 100,000 times as large, are then whole numbers in double precision too.
MOST_SEED = 2**32 - 1
# Noise multipliers of a study that asks for neither noise nor epsilon.
DEFAULT_NOISE = (0.0, 1.0, 4.0)


@dataclass(frozen=True)
class AuditSpec(Attacked, Planted, Trained, Defended, Targets, Data):
    """A grid: every combination of its axes is one cell.

    The axes are corpus, target, defense, privacy, text protection, training and repetitions.

    All patterns are planted in the same model, one canary each, with a label drawn at random for
    every model. Every cell trains `models` targets; models of the same index share their secrets
    across cells, so that conditions are compared on the same canaries. The bases are the groups of
    settings that `modiva audit --help` shows.
    """

    def __post_init__(self) -> None:
        for name in ("corpus", "target", "repetitions", "defense", "privatize", "training",
                     "per_round", "partition", "selection", "continual", "seen",
                     "reversal"):  # fmt: skip
            if not getattr(self, name):
                flag = name.replace("_", "-")
                raise ModivaError(f"--{flag} is empty: give at least one value")
        if self.attack != () and not self.pattern:
            raise ModivaError("--pattern is empty: give at least one value")
        for name in ("corpus", "target", "pattern", "repetitions", "defense", "noise", "epsilon",
                     "privatize", "attack", "groups", "group_column", "training", "per_round",
                     "partition", "selection", "continual", "user_noise", "user_epsilon",
                     "seen", "reversal"):  # fmt: skip
            values = getattr(self, name) or ()
            if len(set(values)) != len(values):
                flag = name.replace("_", "-")
                raise ModivaError(f"--{flag} {' '.join(map(str, values))} names a value twice")
        positive(self, "epsilon", flags=True)
        at_least(self, 0, "noise", "sentences", flags=True)
        at_least(self, 1, "models", "secrets", "controls", "shadows", flags=True)
        for name, least, most in (
            ("models", 1, MOST_MODELS), ("shadows", 1, MOST_MODELS), ("stack", 1, STACK),
            ("seed", 0, MOST_SEED),
        ):  # fmt: skip
            value = getattr(self, name)
            require(least <= value <= most, f"--{name}", value, f"{least} to {most}")
        pool = self.membership
        allowed = pool == 0 or FEWEST_POOLED <= pool <= MOST_MODELS
        require(allowed, "--membership", pool, f"0, or {FEWEST_POOLED} to {MOST_MODELS} models")
        if self.vulnerability and not pool:
            raise ModivaError("--vulnerability needs a pool: give --membership, such as 20")
        check_combinations((self,))
        # Which checks the values of all of them.
        other = next((one for one in self.conditions() if one.training is not None), None)
        if pool and other is not None:
            raise ModivaError(
                f"--membership with {other.training}: pools are of central training, whose coins "
                "decide all that a model sees; leave it out, or make this a study of its own"
            )
        self._check_seen()

    @property
    def attacks(self) -> tuple[str, ...]:
        """The attacks by name: those given, or the published one and the strongest that fits."""
        if self.attack is not None:
            return self.attack
        return PUBLISHED, "exhaustive" if self._enumerable() else "coordinate"

    def _enumerable(self) -> bool:
        """Return whether every pattern has few enough secrets to score them all."""
        file = self.patterns_file
        patterns, spaces = load_patterns(Path(file)) if file else ({}, {})
        try:
            found = [get_pattern(one, patterns=patterns, spaces=spaces) for one in self.pattern]
        except CanaryError:  # words of the corpus, which are many; or a mistake, told later
            return False
        return all(pattern.size <= ENUMERATED for pattern in found)

    @property
    def combinations(self) -> int:
        """Number of combinations, told without expanding them."""
        axes = (
            *(self.corpus, self.target, self.defense, self.privatize, self.repetitions),
            list(self.privacies()),
        )
        federated = (
            *(self.per_round, self.partition, self.selection, self.continual, self.seen),
            (*self.user_noise, *self.user_epsilon),
        )
        servers = sum(name in SERVERS for name in self.training)
        trainings = len(self.training) - servers + servers * math.prod(map(len, federated))
        distilled = len([name for name in self.training if name.startswith("distil:")])
        trainings += distilled * (len(self.reversal) - 1)
        return math.prod(map(len, axes)) * trainings

    def _check_seen(self) -> None:
        if {*self.reversal} != {"none"} and not any(n.startswith("distil:") for n in self.training):
            raise ModivaError(
                f"--reversal {' '.join(self.reversal)} --training {' '.join(self.training)}: only "
                "students of a teacher have it; add distil:same, distil:other or distil:decoys"
            )
        if self.membership and self.training != (CENTRAL,):
            raise ModivaError(
                f"--membership {self.membership} --training {' '.join(self.training)}: pools are "
                "of one trainer; leave one of the two out"
            )
        for value in self.seen:
            require(value in SEEN, "--seen", value, f"one of {', '.join(SEEN)}")
        if self.seen != ("final",) and not {*self.training} & {*SERVERS}:
            raise ModivaError(
                f"--seen {' '.join(self.seen)} --training {' '.join(self.training)}: only "
                f"federated training has rounds; add one of {', '.join(SERVERS)}"
            )

    def privacies(self) -> Iterator[Privacy | None]:
        """Return the privacy axis: values of noise, then of epsilon; None is ordinary training."""
        ordinary = self.epsilon or CENTRAL not in self.training
        noise = self.noise or ((0.0,) if ordinary else DEFAULT_NOISE)
        for value in noise:
            yield Privacy(noise_multiplier=value, clip_norm=self.clip_norm) if value else None
        for value in self.epsilon:
            yield Privacy(epsilon=value, clip_norm=self.clip_norm)

    def conditions(self) -> Iterator[Condition]:
        """Return every combination, some of them more than once.

        A defense spelled with a private method, such as "dropout+edp", says which method the
        private ones of its combinations have; its ordinary one is the defense without it.
        Private training of sentences is of one trainer; beside it the others train without.
        """
        side: Side = "targets" if {*LEARNED} & {*self.attacks} else "all"
        axes = (self.corpus, self.target, self.defense, self.privacies(), self.privatize,
                self.trainings(), self.repetitions)  # fmt: skip
        for corpus, target, spelling, privacy, text, training, copies in itertools.product(*axes):
            if training is not None and privacy is not None and CENTRAL in self.training:
                continue
            defense, method = split_defense(spelling)
            if privacy is not None and method is not None:
                privacy = dataclasses.replace(privacy, method=method)
            yield Condition(
                corpus=corpus,
                target=target,
                size=self.size,
                patterns=self.pattern,
                repetitions=_numbers(copies),
                label=self.label,
                secrets=self.secrets,
                controls=self.controls,
                share_valid=self.share_valid,
                privatize=text,
                word_space=self.word_space if text != NONE else Condition.word_space,
                autoencoder=self.autoencoder if text.startswith("adept") else None,
                patterns_file=self.patterns_file,
                sentences=self.sentences,
                side=side,
                half_seed=0 if side == "all" else self.seed,
                defense=defense,
                privacy=privacy,
                training=training,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                batch_size=self.batch_size,
            )

    def cells(self) -> tuple["Cell", ...]:
        """Return every condition once, with its settings, in the order of the grid."""
        return tuple(
            Cell(
                condition=condition,
                seen=seen,
                models=self.models,
                seed=self.seed,
                attacks=self.attacks,
                objective=self.objective,
                shadows=self.shadows,
                stack=self.stack,
                membership=self.membership,
                vulnerability=self.vulnerability,
                groups=self.groups,
                group_column=self.group_column,
            )
            for condition in dict.fromkeys(self.conditions())
            for seen in self._views(condition)
        )

    def _views(self, condition: Condition) -> tuple[Seen, ...]:
        """Return what attackers see of a condition's training: rounds are of clients alone."""
        seen: Any = self.seen
        return seen if isinstance(condition.training, Federated) else ("final",)

    def command(self, out: Path) -> str:
        """Return the command line that repeats this audit: every setting, spelled out."""
        words = ["modiva", "audit"]
        for name, value in self.as_dict().items():
            if value is None or value is False:
                continue
            if value is True:
                words.append(f"--{name.replace('_', '-')}")
                continue
            values = value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
        words += ["--out", str(out)]
        return shlex.join(words)

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain


@dataclass(frozen=True)
class Cell:
    """One condition, and what a study asks of it.

    Args:
        condition: of its targets.
        models: independently trained targets.
        seed: of the study; seeds of models follow from it.
        attacks: by name; none trains without attacking.
        objective: of the searches that are no paper's.
        shadows: shadow models that learned attacks learn from.
        stack: models that train side by side at most.
        membership: models of the pool beside it; 0 is none.
        vulnerability: whether the pool says how far every sentence is told.
        groups: groupings of the test sentences that the models are compared on.
        group_column: columns of the corpus that are groupings too.
        seen: of federated training, what the attacker sees.
    """

    condition: Condition
    models: int
    seed: int = 0
    attacks: tuple[str, ...] = ()
    objective: str = "loss"
    shadows: int = 40
    stack: int = STACK
    membership: int = 0
    vulnerability: bool = False
    groups: tuple[str, ...] = ()
    group_column: tuple[str, ...] = ()
    seen: Seen = "final"

    @property
    def model_seeds(self) -> list[int]:
        """Seeds of the models: the same in every cell of a study, so that cells are paired.

        Shadow models have seeds of their own, which no target has.
        """
        first = self.seed * 2 * MOST_MODELS
        if self.condition.side == "shadows":
            first += MOST_MODELS + 100 * self.condition.repetitions[0]
        return [first + index for index in range(self.models)]

    def __str__(self) -> str:
        return str(self.condition) + ("" if self.seen == "final" else f" seen {self.seen}")


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
        check_combinations(self.grids)

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells of all grids, each once."""
        return tuple(dict.fromkeys(cell for grid in self.grids for cell in grid.cells()))

    def as_dict(self) -> dict[str, Any]:
        """Return the study as JSON values: the settings of one grid, or a list of several."""
        if len(self.grids) == 1:
            return self.grids[0].as_dict()
        return {"grids": [grid.as_dict() for grid in self.grids]}


def check_combinations(grids: Sequence[AuditSpec]) -> None:
    """Raise where grids have more combinations than are expanded."""
    total = sum(grid.combinations for grid in grids)
    if total > MOST_CELLS:
        raise ModivaError(
            f"corpora x targets x defenses x privacies x repetitions are {total:,} cells, and a "
            f"study has {MOST_CELLS:,} at most: make it several, with one --store"
        )


def _numbers(repetitions: int | str) -> tuple[int, ...]:
    """Return the numbers of a value of the axis of repetitions: one, or one per pattern."""
    try:
        return tuple(int(number) for number in str(repetitions).split(","))
    except ValueError:
        raise ModivaError(
            f"--repetitions {repetitions}: give whole numbers, or such as 1,100 for one a pattern"
        ) from None


def content_key(*parts: Any) -> str:
    """Return a content address: 24 hexadecimal digits of the parts as JSON."""
    content = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:24]
