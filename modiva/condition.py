"""A condition: all that decides how a target comes to be, and nothing else.

Studies, training and the command line speak of the same object. How many models are trained under
a condition, and by what they are attacked, belongs to the study. Nothing here imports PyTorch.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from modiva.errors import ModivaError
from modiva.handling import CENTRAL, Distilled, Federated
from modiva.validate import at_least, positive, require

Size = Literal["small", "full"]
Side = Literal["all", "targets", "shadows", "pool"]
Method = Literal["dp", "edp", "loop"]

# Defenses that training by clients does not have.
NOT_BY_CLIENTS = ("early-stopping", "last-layers", "lora", "all-layers")
NONE = "none"  # the defense that changes nothing
# Sentences that are planted in a model, and secrets that are drawn for it: more is a slip.
MOST_PLANTED = MOST_SECRETS = 10**6
METHODS: tuple[Method, ...] = ("dp", "edp", "loop")


@dataclass(frozen=True)
class Privacy:
    """Differentially private training: by its noise or by its epsilon, exactly one of the two.

    Args:
        noise_multiplier: standard deviation of the noise over the clip norm, above 0.
        epsilon: privacy budget per example; the noise is calibrated to it.
        method: "dp" clips every example's gradient in one backward pass (DP-SGD), "loop" does the
            same one example at a time, and "edp" clips the means of micro-batches with decaying
            noise (eDP-SGD, Dupuy et al. 2022).
        delta: of the (epsilon, delta) statement; None takes 1e-5.
        clip_norm: L2 bound on what is clipped; None takes 1.

    Raises:
        ModivaError: a value out of range, or both or neither of noise and epsilon.
    """

    noise_multiplier: float | None = None
    epsilon: float | None = None
    method: Method = "dp"
    delta: float | None = None
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if (self.noise_multiplier is None) == (self.epsilon is None):
            raise ModivaError(
                f"noise_multiplier={self.noise_multiplier}, epsilon={self.epsilon}: private "
                "training takes exactly one of the two; give the other as None"
            )
        positive(self, "noise_multiplier", "epsilon", "clip_norm")
        delta = self.delta
        require(delta is None or 0 < delta < 1, "delta", delta, "in (0, 1), such as 1e-5")
        if self.method not in METHODS:
            raise ModivaError(f"method={self.method!r}: choose one of {', '.join(METHODS)}")

    def __str__(self) -> str:
        if self.epsilon is not None:
            return f"{self.method} epsilon {self.epsilon:g}"
        return f"{self.method} noise {self.noise_multiplier:g}"


@dataclass(frozen=True)
class Condition:
    """How one kind of target comes to be: its sentences, what is planted, and how it is trained.

    Args:
        corpus: a name from `modiva corpus list`, or a file or folder.
        target: an architecture's name, or a Hugging Face folder or name.
        size: of our own architectures: 32 wide (small) or 100 wide (full).
        patterns: what is planted, such as "call", "pin:6" or a template; may be empty.
        repetitions: copies of each canary in the training split: one number for all patterns, or
            one a pattern; 0 plants nothing.
        label: the canaries' intent: "random" (for every model), "new", or a given one.
        secrets: canaries of every pattern.
        controls: secrets drawn with each canary and never planted.
        share_valid: plant the same share in the validation split too.
        privatize: "none", or NAME:EPSILON of the mechanism that rewrites every sentence of the
            training and validation split after planting, such as "tem:12".
        word_space: of mechanisms of words: "minilm", or a file of word vectors in GloVe format.
        autoencoder: of mechanisms of sentences: the folder of one.
        patterns_file: YAML file of own patterns and word lists.
        sentences: at most so many training sentences, drawn for each model; 0 is the whole split.
        side: whose sentences: all, or one of two halves, the targets' or the attacker's (shadows);
            or those of a pool for membership inference, whose models have the same sentences and
            canaries, each by the toss of a coin.
        half_seed: decides which sentence is in which half, or the sentences and canaries of the
            pool; nothing where `side` is all.
        public_size: number of training sentences from which private training takes its sampling
            rate and divisor; None takes the number that there is, which is then public.
        defense: names that training without privacy knows, joined by "+".
        privacy: None, or how training is made private.
        training: None where one trainer has all sentences, else how clients or a teacher train.
        epochs: at most so many, of a client in each round; None takes the default of target,
            defense, privacy and training.
        learning_rate: of AdamW, of clients of SGD; None takes the default.
        batch_size: sentences of a step, of a private one the expected number; None takes the
            default.
        word_vectors: GloVe-format file for the embeddings of our own architectures.
        freeze_embeddings: keep the embeddings as they are.

    Raises:
        ModivaError: a value out of range.
    """

    corpus: str = "home-assistant"
    target: str = "cnn"
    size: Size = "full"
    patterns: tuple[str, ...] = ()
    repetitions: tuple[int, ...] = (1,)
    label: str = "random"
    secrets: int = 1
    controls: int = 5
    share_valid: bool = False
    privatize: str = NONE
    word_space: str = "minilm"
    autoencoder: str | None = None
    patterns_file: str | None = None
    sentences: int = 0
    side: Side = "all"
    half_seed: int = 0
    public_size: int | None = None
    defense: str = NONE
    privacy: Privacy | None = None
    training: Federated | Distilled | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    word_vectors: str | None = None
    freeze_embeddings: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "secrets", "epochs", "batch_size", "public_size", flags=True)
        at_least(self, 0, "controls", "sentences", "half_seed", "repetitions", flags=True)
        positive(self, "learning_rate", flags=True)
        if self.side == "pool" and self.privacy is not None and self.public_size is None:
            raise ModivaError(
                "side='pool' with private training and no public_size: how many sentences the "
                "coins give to a model would leak through its sampling rate and divisor; give "
                "public_size, such as half of all sentences of the pool"
            )
        split_privatize(self.privatize)
        if len(self.repetitions) not in (1, len(self.patterns)):
            raise ModivaError(
                f"--repetitions names {len(self.repetitions)} numbers for {len(self.patterns)} "
                "patterns: give one number, or one a pattern"
            )
        self._check_numbers()
        self._check_training()

    def _check_numbers(self) -> None:
        planted = sum(self.copies) * self.secrets
        if planted > MOST_PLANTED:
            raise ModivaError(
                f"--repetitions {','.join(map(str, self.repetitions))} --secrets {self.secrets}: "
                f"{planted:,} sentences planted in a model, must be {MOST_PLANTED:,} at most"
            )
        drawn = self.secrets * (1 + self.controls) * len(self.patterns)
        if drawn > MOST_SECRETS:
            raise ModivaError(
                f"--secrets {self.secrets} --controls {self.controls}: {drawn:,} secrets drawn for "
                f"a model, must be {MOST_SECRETS:,} at most"
            )

    def _check_training(self) -> None:
        if self.training is None:
            return
        if self.privatize != NONE and isinstance(self.training, Distilled):
            raise ModivaError(
                f"--privatize {self.privatize} with {self.training}: which sentences the student "
                "would read, rewritten or not, is not settled; leave one of the two out"
            )
        if self.privacy is not None:
            raise ModivaError(
                f"{self.training} with {self.privacy}, which clips the gradients of sentences: "
                "clients are protected by --user-noise; leave --noise and --epsilon out"
            )
        unfit = [name for name in self.defense.split("+") if name in NOT_BY_CLIENTS]
        if isinstance(self.training, Federated) and unfit:
            raise ModivaError(
                f"--defense {self.defense} with {self.training}: clients train all weights or "
                f"the head alone, for --rounds; leave {unfit[0]} out"
            )
        if isinstance(self.training, Distilled) and self.defense != NONE:
            raise ModivaError(
                f"--defense {self.defense} with {self.training}: distillation is measured alone; "
                "leave the defense out"
            )

    @property
    def copies(self) -> tuple[int, ...]:
        """Repetitions of each pattern's canaries, one number a pattern."""
        if len(self.repetitions) == len(self.patterns):
            return self.repetitions
        return self.repetitions * len(self.patterns)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the corpus must have beside its sentences."""
        return self.training.columns if isinstance(self.training, Federated) else ()

    @property
    def noise_multiplier(self) -> float | None:
        """The noise that was asked for: 0 without privacy, None where it follows from epsilon."""
        return 0.0 if self.privacy is None else self.privacy.noise_multiplier

    @property
    def method(self) -> str:
        """How training is spelled: central, a federated server, or distil:TRANSFER."""
        if isinstance(self.training, Federated):
            return self.training.server
        return CENTRAL if self.training is None else str(self.training)

    @property
    def protection(self) -> str:
        """Defense, text protection and private method as tables name them: "dropout+tem:12+dp"."""
        defense = join_defense(f"{self.defense}+{self.privatize}", None)
        return join_defense(defense, None if self.privacy is None else self.privacy.method)

    def as_dict(self) -> dict[str, Any]:
        """Return the condition as plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def __str__(self) -> str:
        noise = "" if self.privacy is None else f" {str(self.privacy).partition(' ')[2]}"
        how = "" if self.training is None else f" {self.training}"
        copies = ",".join(map(str, self.repetitions))
        return f"{self.corpus} {self.target} {self.protection}{noise}{how} R={copies}"


def split_defense(text: str) -> tuple[str, Method | None]:
    """Take the private method out of a spelling such as "dropout+dp".

    Returns:
        The names of the other defenses, joined, "none" where there is no other; and the method.

    Raises:
        ModivaError: two ways of private training.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split("+")))
    methods = [method for method in METHODS if method in names]
    if len(methods) > 1:
        raise ModivaError(
            f"{text!r} trains privately in {len(methods)} ways: keep one of {', '.join(methods)}"
        )
    rest = [name for name in names if name not in METHODS and name != NONE]
    return "+".join(rest) if rest else NONE, methods[0] if methods else None


def split_privatize(text: str) -> tuple[str, float] | None:
    """Return name and epsilon of a text mechanism such as "tem:12"; None of "none".

    Raises:
        ModivaError: no epsilon, or one that is not above 0 and finite.
    """
    if text == NONE:
        return None
    name, _, number = text.partition(":")
    try:
        epsilon = float(number)
    except ValueError:
        epsilon = math.nan
    if not (name and 0 < epsilon < math.inf):
        raise ModivaError(
            f"--privatize {text}: give a mechanism and its epsilon, a number above 0, such as "
            "tem:12, or none"
        )
    return name, epsilon


def join_defense(defense: str, method: Method | None) -> str:
    """Return the spelling that `split_defense` takes apart."""
    names = [name for name in defense.split("+") if name != NONE]
    return "+".join([*names, *([method] if method else [])]) or NONE


def private_by(
    defense: str, *, noise: float | None, epsilon: float | None, delta: float | None
) -> tuple[str, Privacy | None]:
    """Return the defenses without the private method, and how training is made private.

    Args:
        defense: names joined by "+", a private method among them or not.
        noise: noise multiplier; 0 is ordinary training, and a private method without either takes
            1.
        epsilon: budget of one sentence, instead of the noise.
        delta: of epsilon.

    Raises:
        ModivaError: noise and epsilon, or a delta without privacy.
    """
    defense, method = split_defense(defense)
    if epsilon is not None and noise is not None:
        raise ModivaError(
            f"--noise {noise:g} --epsilon {epsilon:g}: the noise follows from epsilon; give one of "
            "the two"
        )
    if method and noise is None and epsilon is None:
        noise = 1.0
    if noise or epsilon is not None:
        return defense, Privacy(noise or None, epsilon, method or "dp", delta)
    if delta is not None:
        raise ModivaError(
            f"--delta {delta}: only private training has it; give --epsilon or --noise"
        )
    return defense, None
