"""How data reaches the weights where no one trainer holds it: federated clients, or a teacher.

Nothing here imports PyTorch.
"""

import re
from dataclasses import dataclass
from typing import Literal

from modiva.errors import ModivaError
from modiva.swaps import load_swaps
from modiva.validate import at_least, positive, require

Server = Literal["fedavg", "fedprox", "fedadam", "fedyogi", "fedadagrad"]
Seen = Literal["final", "rounds", "aggregate", "update"]
Transfer = Literal["same", "other", "decoys"]
Reversal = Literal["none", "mean", "max", "logmeanexp"]

CENTRAL = "central"
SERVERS: tuple[Server, ...] = ("fedavg", "fedprox", "fedadam", "fedyogi", "fedadagrad")
SEEN: tuple[Seen, ...] = ("final", "rounds", "aggregate", "update")
TRANSFERS: tuple[Transfer, ...] = ("same", "other", "decoys")
REVERSALS: tuple[Reversal, ...] = ("none", "mean", "max", "logmeanexp")
PARTITIONS = ("label", "quantity", "zipf", "cluster")
NATURAL = "natural"
_PARTITION = re.compile(r"(?P<kind>[a-z]+)(?::(?P<number>[0-9.e+-]+))?")


@dataclass(frozen=True)
class Federated:
    """Federated training: in each round some clients train, and a server averages their updates.

    Args:
        server: fedavg and fedprox (McMahan et al. 2017; Li et al. 2020), or the adaptive fedadam,
            fedyogi and fedadagrad (Reddi et al. 2021).
        clients: devices that hold the training split.
        per_round: clients of a round; under privacy the expected number.
        rounds: of training.
        partition: who holds what: label:ALPHA, quantity:BETA, zipf:S, cluster:K, or natural:COLUMN
            by a column of the corpus that names whose each sentence is.
        selection: uniform, activity (in proportion to a client's sentences) or activity:POWER.
        periods: parts of the sentences that clients hold one after the other; 1 holds all always.
        spread: give the copies of a canary to clients at random, and not all to one.
        noise_multiplier: of user-level DP-FedAvg (McMahan et al. 2018), over the clip norm; 0 adds
            no noise and clips nothing.
        epsilon: of a device; the noise is calibrated to it, where selection is uniform.
        clip_norm: L2 bound on the update of a device; None adapts it to the median (Andrew et al.
            2021), at a cost that is accounted for.
        server_rate: of the server; None takes 1 for averages and 0.01 for adaptive servers.
        proximal: mu of fedprox, which no other server reads.
        keep_rounds: keep every global model, for an attacker who sees them.

    Raises:
        ModivaError: a value out of range, more devices in a round than there are, or one common
            epsilon where devices differ in how often they take part.
    """

    server: Server = "fedavg"
    clients: int = 100
    per_round: int = 10
    rounds: int = 30
    partition: str = "label:1"
    selection: str = "uniform"
    periods: int = 1
    spread: bool = False
    noise_multiplier: float = 0.0
    epsilon: float | None = None
    clip_norm: float | None = None
    server_rate: float | None = None
    proximal: float = 0.01
    keep_rounds: bool = False

    def __post_init__(self) -> None:
        require(self.server in SERVERS, "--training", self.server, f"one of {', '.join(SERVERS)}")
        at_least(self, 1, "clients", "per_round", "rounds", flags=True)
        require(self.periods >= 1, "--continual", self.periods, "1 or more")
        at_least(self, 0, "proximal", flags=True)
        require(self.noise_multiplier >= 0, "--user-noise", self.noise_multiplier, "0 or more")
        positive(self, "server_rate", flags=True)
        for flag, value in (("--user-epsilon", self.epsilon), ("--user-clip", self.clip_norm)):
            require(value is None or value > 0, flag, value, "above 0")
        if self.per_round > self.clients:
            raise ModivaError(
                f"--per-round {self.per_round}: there are {self.clients} devices; take fewer a "
                "round or more --clients"
            )
        if self.periods > self.rounds:
            raise ModivaError(
                f"--continual {self.periods}: there are {self.rounds} rounds, so a period would "
                "have none; take fewer periods or more --rounds"
            )
        parse_partition(self.partition)
        power = self.power  # which checks the selection
        if self.epsilon is not None and self.noise_multiplier:
            raise ModivaError(
                f"--user-epsilon {self.epsilon:g} --user-noise {self.noise_multiplier:g}: the "
                "noise follows from epsilon; give one of the two"
            )
        if self.epsilon is not None and power != 0:
            raise ModivaError(
                f"--user-epsilon {self.epsilon:g} --selection {self.selection}: a device that "
                "takes part more often has a larger epsilon, so there is no common one; give "
                "--user-noise, and epsilon is reported for each device, or --selection uniform"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that must stand beside the sentences: that of a natural partition."""
        kind, _, column = self.partition.partition(":")
        return (column,) if kind == NATURAL else ()

    @property
    def power(self) -> float:
        """The exponent of a device's sentences in the probability of its selection."""
        name, _, number = self.selection.partition(":")
        if (name, number) == ("uniform", ""):
            return 0.0
        try:
            power = float(number) if number else 1.0
        except ValueError:
            power = -1.0
        if name != "activity" or not 0 <= power <= 10:
            raise ModivaError(
                f"--selection {self.selection}: give uniform, activity, or activity:POWER with a "
                "power from 0 to 10, such as activity:0.5"
            )
        return power

    @property
    def private(self) -> bool:
        """Whether noise is added to the sum of clipped updates."""
        return self.noise_multiplier > 0 or self.epsilon is not None

    def __str__(self) -> str:
        parts = [self.server, f"{self.per_round}/{self.clients}", self.partition, self.selection]
        parts += [f"{self.periods} periods"] if self.periods > 1 else []
        parts += [f"noise {self.noise_multiplier:g}"] if self.noise_multiplier else []
        return " ".join(parts + ([f"epsilon {self.epsilon:g}"] if self.epsilon else []))


@dataclass(frozen=True)
class Distilled:
    """Distillation: a student learns the soft labels of a teacher, and the student is attacked.

    Source: Hinton et al. 2015 (arXiv 1503.02531). The secrets are planted in the teacher's data.

    Args:
        transfer: whose soft labels: of the teacher's sentences (same), of other sentences of the
            corpus (other), or of those and of canaries with other secrets (decoys).
        temperature: both distributions are softened by.
        decoys: sentences with other secrets, for each canary.
        reversal: how the teacher's logits of a sentence and of the sentence with swapped words are
            joined (Gupta et al. 2022, arXiv 2203.12574): none, mean, max or logmeanexp. The student
            learns the joined ones on both sentences.
        swaps: YAML of pairs of words; None takes those of `modiva.swaps`.

    Raises:
        ModivaError: a value out of range, or swap lists that no reversal reads.
    """

    transfer: Transfer = "same"
    temperature: float = 2.0
    decoys: int = 200
    reversal: Reversal = "none"
    swaps: str | None = None

    def __post_init__(self) -> None:
        known = ", ".join(f"distil:{name}" for name in TRANSFERS)
        require(
            self.transfer in TRANSFERS, "--training", f"distil:{self.transfer}", f"one of {known}"
        )
        positive(self, "temperature", flags=True)
        at_least(self, 1, "decoys", flags=True)
        require(
            self.reversal in REVERSALS,
            "--reversal",
            self.reversal,
            f"one of {', '.join(REVERSALS)}",
        )
        if self.swaps is not None:
            load_swaps(self.swaps)

    def __str__(self) -> str:
        return f"distil:{self.transfer}" + (f"+{self.reversal}" if self.reversal != "none" else "")


def parse_partition(text: str) -> tuple[str, float]:
    """Return the kind of a partition and its number, which a natural one has none of: 0.

    Raises:
        ModivaError: an unknown kind, a number that it cannot have, or no column.
    """
    if text.startswith(f"{NATURAL}:") and text.partition(":")[2].strip():
        return NATURAL, 0.0
    found = _PARTITION.fullmatch(text)
    kind, written = (found["kind"], found["number"]) if found else ("", None)
    try:
        number = float(written) if written else 1.0
    except ValueError:
        number = -1.0
    whole = kind != "cluster" or (number >= 2 and number == int(number) and written)
    if kind not in PARTITIONS or not 0 < number < 1e6 or not whole:
        raise ModivaError(
            f"--partition {text}: give label:ALPHA, quantity:BETA or zipf:S with a number above 0, "
            "such as label:1, cluster:K with 2 clusters or more, such as cluster:10, or "
            "natural:COLUMN with the column that names whose each sentence is, such as "
            "natural:speaker"
        )
    return kind, number
