"""Settings and results of a training run: frozen, validated where they enter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from modiva.condition import METHODS, Method
from modiva.errors import ModivaError
from modiva.privacy import Microbatches
from modiva.training.tuning import PARTS, Part
from modiva.validate import at_least, positive, require

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bfloat16")
CLIPPINGS = ("threshold", "automatic")


Examples = Sequence[tuple[str, str]]  # (text, intent) pairs


class Splits(NamedTuple):
    """What weights are fitted to, what early stopping watches, what the accuracy is of."""

    train: Examples
    valid: Examples
    test: Examples


class HasSplits(Protocol):
    """Anything with the three splits as attributes, a `Corpus` for one."""

    @property
    def train(self) -> Examples:
        """Sentences that the weights are fitted to."""

    @property
    def valid(self) -> Examples:
        """Sentences that early stopping watches."""

    @property
    def test(self) -> Examples:
        """Sentences that the reported accuracy is of."""


Data = HasSplits | tuple[Examples, Examples, Examples]


def as_splits(data: Data) -> Splits:
    """Return the three splits of a corpus, or of a plain (train, valid, test)."""
    if isinstance(data, tuple):
        return Splits(*data)
    return Splits(data.train, data.valid, data.test)


@dataclass(frozen=True)
class PrivacySettings:
    """Settings of private training: noise or epsilon, exactly one of the two.

    Args:
        noise_multiplier: standard deviation of the noise over `clip_norm` (>= 0), at the start.
        epsilon: privacy budget per example; the noise is then calibrated to it.
        clip_norm: L2 bound on every example's gradient, or on every micro-batch's mean.
        clipping: "threshold" shortens what is longer than the bound (Abadi et al. 2016);
            "automatic" makes every gradient about as long as it, which under AdamW is then no
            setting that matters (Bu et al. 2022, arXiv 2206.07136).
        delta: the delta of the (epsilon, delta) statement.
        batch_size: EXPECTED size of a Poisson-sampled batch; the sampling rate is it over n. None
            is an eighth of the training sentences, and 256 at least.
        public_size: n; None takes the number of training sentences, which is then public.
        noise_decay: factor in (0, 1] on the noise from one epoch to the next.
        method: "dp" clips each example's gradient in one backward pass, "loop" one example at a
            time, to the same sum; "edp" clips the means of micro-batches, at twice the sensitivity.
        microbatches: of "edp", and of no other method; None takes the defaults.

    Raises:
        ModivaError: a value out of range, both or neither of noise and epsilon, or micro-batches
            with a method that has none.
    """

    noise_multiplier: float | None = None
    epsilon: float | None = None
    clip_norm: float = 1.0
    delta: float = 1e-5
    batch_size: int | None = None
    public_size: int | None = None
    noise_decay: float = 1.0
    microbatches: Microbatches | None = None
    clipping: str = "threshold"
    method: Method = "dp"

    def __post_init__(self) -> None:
        if (self.noise_multiplier is None) == (self.epsilon is None):
            raise ModivaError(
                f"noise_multiplier={self.noise_multiplier}, epsilon={self.epsilon}: private "
                "training takes exactly one of the two; give the other as None"
            )
        at_least(self, 0, "noise_multiplier")
        positive(self, "epsilon", "clip_norm", "batch_size", "public_size")
        if self.clipping not in CLIPPINGS:
            raise ModivaError(f"clipping={self.clipping!r}: choose one of {', '.join(CLIPPINGS)}")
        require(self.method in METHODS, "method", self.method, f"one of {', '.join(METHODS)}")
        if self.microbatches is not None and self.method != "edp":
            raise ModivaError(
                f"microbatches with method={self.method!r}, which has none: use method='edp'"
            )
        decay, delta = self.noise_decay, self.delta
        require(0 < decay <= 1, "noise_decay", decay, "in (0, 1]; 1 is constant noise")
        require(0 < delta < 1, "delta", delta, "in (0, 1), well under 1 / sentences")


@dataclass(frozen=True)
class TrainConfig:
    """How one classifier is trained.

    Args:
        epochs: at most so many passes over the training split (Poisson: expected passes).
        batch_size: sentences a step; ignored by a private run, which has its own.
        learning_rate: of AdamW, constant.
        weight_decay: of AdamW, alike on every trainable parameter.
        patience: stop after so many epochs without a lower validation loss and put the best
            epoch's weights back; None trains all epochs and keeps the last weights.
        seed: of batches, dropout, sampling and noise, each with a generator of its own.
        order_seed: in what order short and long batches follow each other. Models of a stack
            share it, so that sentences of like length meet in a step; vary it between stacks.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        precision: "float32", or "bfloat16" autocast (not private; CUDA, or a processor that has
            instructions for it, where it takes a third off the training of MiniLM).
        privacy: None, or how to train with differential privacy.
        part: of a pretrained model, what is trained: see `modiva.training.tuning`.

    Raises:
        ModivaError: a value out of range.
    """

    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    patience: int | None = None
    seed: int = 0
    order_seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    privacy: PrivacySettings | None = None
    part: Part = "all"

    def __post_init__(self) -> None:
        positive(self, "epochs", "batch_size", "learning_rate")
        at_least(self, 0, "weight_decay")
        at_least(self, 1, "patience")
        if self.device not in DEVICES:
            raise ModivaError(f"device={self.device!r}: choose one of {', '.join(DEVICES)}")
        if self.part not in PARTS:
            raise ModivaError(f"part={self.part!r}: choose one of {', '.join(PARTS)}")
        if self.precision not in PRECISIONS:
            raise ModivaError(f"precision={self.precision!r}: choose of {', '.join(PRECISIONS)}")
        if self.privacy is not None and self.precision != "float32":
            raise ModivaError(
                f"precision={self.precision!r} with private training: gradient norms must be exact "
                "to be clipped; use float32"
            )


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: mean training loss, and validation loss and accuracy where these may stop it."""

    epoch: int
    train_loss: float
    valid_loss: float | None
    valid_accuracy: float | None


@dataclass(frozen=True)
class TrainResult:
    """What a training run gave, apart from the weights.

    Args:
        majority_accuracy: on the test split, of always saying the commonest training intent:
            the floor that no accuracy is worth anything without.
        best_epoch: the epoch whose weights the model now has, counted from 1.
        epsilon: per example, None without differential privacy and where there is no bound
            (noise multiplier 0).
        plan: what a private run promised and what really ran (steps, batch sizes, clipped share).
    """

    test_accuracy: float | None
    valid_accuracy: float | None
    train_accuracy: float
    majority_accuracy: float | None
    epochs_run: int
    best_epoch: int
    steps: int
    history: tuple[EpochRecord, ...]
    seconds: float
    epsilon: float | None = None
    delta: float | None = None
    plan: dict[str, Any] | None = None
