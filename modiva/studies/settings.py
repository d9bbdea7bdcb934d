"""Settings of a study in groups, as `modiva audit --help` shows them.

Nothing here imports PyTorch; values are checked by `modiva.studies.spec`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modiva.condition import Size
from modiva.errors import ModivaError
from modiva.handling import CENTRAL, SERVERS, TRANSFERS, Distilled, Federated

# Models of one architecture that train side by side: enough to fill a core, few for the memory.
STACK = 20


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
    learning_rate: float | None = None
    """Of AdamW; the default depends on target and privacy."""
    batch_size: int | None = None
    """Sentences of a step, of a private one the expected number."""
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
    """none, dropout, early-stopping, char-embeddings, or several joined with +; of pretrained
    targets also head-only, last-layers, lora and all-layers. With dp, edp or loop among them, how
    the private ones are trained (dp if not given)."""
    noise: tuple[float, ...] = ()
    """Noise multipliers of differentially private training; 0 is ordinary training. 0, 1 and 4
    where neither noise nor epsilon is given."""
    epsilon: tuple[float, ...] = ()
    """Privacy budgets per example, to each of which the noise is calibrated; beside ordinary
    training where no noise is given."""
    clip_norm: float | None = None
    """L2 bound on the gradients of private training; 1 if not given."""
    privatize: tuple[str, ...] = ("none",)
    """How every sentence is rewritten before training: none, or a mechanism with its epsilon, such
    as tem:12, madlib:60, mahalanobis:80, gumbel:90, adept:50, adept-published:5."""
    word_space: str = "minilm"
    """Words and vectors of these mechanisms: minilm, or a text file in GloVe format."""
    autoencoder: str | None = None
    """Of adept and adept-published: a folder of `modiva autoencoder`, from another corpus."""


@dataclass(frozen=True)
class Trained:
    """How the data reaches the weights: by one trainer, by clients, or by a teacher."""

    training: tuple[str, ...] = (CENTRAL,)
    """central; by clients: fedavg, fedprox, fedadam, fedyogi or fedadagrad; distilled from a
    teacher on its own sentences, on others, or on others and decoys: distil:same, distil:other or
    distil:decoys."""
    clients: int = 100
    """Devices that hold the training split."""
    per_round: tuple[int, ...] = (10,)
    """Devices that train in a round; of private training the expected number."""
    rounds: int = 30
    """Rounds of federated training."""
    partition: tuple[str, ...] = ("label:1",)
    """Who holds what: label:ALPHA (few intents each), quantity:BETA or zipf:S (light and heavy
    devices), cluster:K (few meanings each), natural:COLUMN (as a column of your file names whose
    each sentence is)."""
    selection: tuple[str, ...] = ("uniform",)
    """Of devices: uniform, activity (in proportion to their sentences) or activity:POWER."""
    continual: tuple[int, ...] = (1,)
    """Periods of the rounds; a device holds the sentences of the current one only."""
    spread: bool = False
    """Give the copies of a canary to devices at random, and not all to one."""
    user_noise: tuple[float, ...] = (0.0,)
    """Noise multipliers of user-level DP-FedAvg; 0 adds none."""
    user_epsilon: tuple[float, ...] = ()
    """Privacy budgets per device, to each of which the noise is calibrated."""
    user_clip: float | None = None
    """L2 bound on the update of a device; adapted to the median of the updates if not given."""
    server_rate: float | None = None
    """Of the server; 1 for fedavg and fedprox, else 0.01, if not given."""
    proximal: float = 0.01
    """Weight of the distance from the global model in the loss of fedprox."""
    temperature: float = 2.0
    """That soft labels of distillation are softened by."""
    reversal: tuple[str, ...] = ("none",)
    """Of distillation, how the teacher's logits of a sentence and of it with swapped words are
    joined: none, mean, max or logmeanexp; see docs/fairness.md."""
    swaps: str | None = None
    """YAML of pairs of words for --reversal; of gendered words and given names if not given."""
    seen: tuple[str, ...] = ("final",)
    """Of federated training: the final model, all global models (rounds), the averages of the
    rounds of a canary's device (aggregate), or its own updates (update)."""

    def trainings(self) -> Iterator[Federated | Distilled | None]:
        """Return the axis of training; None is one trainer.

        Raises:
            ModivaError: an unknown one.
        """
        for name in self.training:
            if name == CENTRAL:
                yield None
            elif name in SERVERS:
                yield from self._federations(name)
            elif name.startswith("distil:"):
                transfer: Any = name.removeprefix("distil:")
                for reversal in self.reversal:
                    kind: Any = reversal
                    swaps = None if reversal == "none" else self.swaps
                    yield Distilled(transfer, self.temperature, reversal=kind, swaps=swaps)
            else:
                known = (CENTRAL, *SERVERS, *(f"distil:{one}" for one in TRANSFERS))
                raise ModivaError(f"--training {name}: use one of {', '.join(known)}")

    def _federations(self, server: Any) -> Iterator[Federated]:
        noises: list[dict[str, float]] = [{"noise_multiplier": noise} for noise in self.user_noise]
        noises += [{"epsilon": epsilon} for epsilon in self.user_epsilon]
        for per_round, partition, selection, periods, noise in itertools.product(
            self.per_round, self.partition, self.selection, self.continual, noises
        ):
            yield Federated(
                server=server,
                clients=self.clients,
                per_round=per_round,
                rounds=self.rounds,
                partition=partition,
                selection=selection,
                periods=periods,
                spread=self.spread,
                clip_norm=self.user_clip,
                server_rate=self.server_rate,
                proximal=self.proximal,
                keep_rounds="rounds" in self.seen,
                **noise,
            )


@dataclass(frozen=True)
class Planted:
    """The secrets that are planted in the sentences."""

    pattern: tuple[str, ...] = ("call", "pin")
    """call, pin:6, color, phone, ..., or a template such as 'my code is {digit*4}'."""
    patterns_file: str | None = None
    """YAML file of own patterns and word lists."""
    repetitions: tuple[int | str, ...] = (1, 10, 100)
    """How often each canary stands in the training split; 0 plants nothing: the floor. "1,100"
    gives each pattern a number of its own."""
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

    attack: tuple[str, ...] | None = None
    """Attacks, see docs/attacks.md; an empty list in a study file trains without attacking. If not
    given: parikh2022, and exhaustive, which ranks all secrets, or coordinate where a pattern has
    more than 20,000 of them."""
    objective: str = "loss"
    """What the searches minimise; a recipe has its own."""
    shadows: int = 40
    """Shadow models that the attacks `ranker` and `ranker-initial` learn from."""
    membership: int = 0
    """Models of a pool beside each cell, each trained on every sentence and canary by the toss of a
    coin, for membership inference; 20 suffice, 0 is none."""
    vulnerability: bool = False
    """Write how far every training sentence is told as a member, to vulnerability.csv. The file
    holds the sentences and is as sensitive as they are; needs --membership."""
    groups: tuple[str, ...] = ()
    """Groups of test sentences whose accuracy is compared: frequency (of the intent), length,
    unknown (words), typo, name; see docs/fairness.md."""
    group_column: tuple[str, ...] = ()
    """Columns of the corpus file whose values are groups too, such as locale or speaker."""
