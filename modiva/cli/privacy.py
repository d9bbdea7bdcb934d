"""`modiva privacy`: what private training allows attacks to reach, without training anything."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from canaries import CanaryError, get_pattern
from canaries.reading import json_text
from modiva.counts import count
from modiva.errors import ModivaError
from modiva.validate import at_least, positive, require

if TYPE_CHECKING:
    from modiva.privacy import PrivacyPlan

_TITLES = {
    "repetitions": "R",
    "epsilon": "epsilon",
    "group_epsilon": "group epsilon",
    "exact_bound": "named at most",
    "top10_bound": "in first ten",
    "exposure_bound": "exposure, bits",
    "auc_bound": "membership AUC",
}
_RATES = ("exact_bound", "top10_bound")
# What guessing reaches, in words, and the bound, by the flags that ask for it.
_WANTED = {
    "want_exact": ("exact_bound", "guessing one of {} secrets"),
    "want_top10": ("top10_bound", "guessing ten of {} secrets"),
    "want_exposure": ("exposure_bound", "guessing among {} secrets"),
    "want_auc": ("auc_bound", "guessing"),
}


@dataclass(frozen=True)
class PrivacyCommand:
    """Say what DP-SGD allows any attack to reach, before or without training.

    Give the noise, or epsilon, or the bound that you want: the noise that reaches it is found.

    $ modiva privacy --noise 2 --sentences 2000 --pattern pin
    $ modiva privacy --epsilon 3 --sentences 2000 --pattern phone --repetitions 1 5
    $ modiva privacy --want-exact 0.01 --sentences 2000 --pattern pin --repetitions 10
    """

    sentences: int
    """Of the training split, canaries included."""
    noise: float | None = None
    """Noise multiplier of DP-SGD: noise over the clip norm; 0 is ordinary training."""
    epsilon: float | None = None
    """Privacy budget of one sentence; the noise is calibrated to it."""
    want_exact: float | None = None
    """Largest probability that an attack names a secret said as often as the largest of
    --repetitions: the least noise that keeps it is found."""
    want_top10: float | None = None
    """The same for the probability that the secret is among the first ten guesses."""
    want_exposure: float | None = None
    """The same for the mean exposure in bits."""
    want_auc: float | None = None
    """The same for the AUC of "was this secret in the training data?"."""
    batch: int | None = None
    """Expected sentences of a batch; an eighth of them, and 256 at least, if not given."""
    steps: int | None = None
    """Noisy steps."""
    epochs: int | None = None
    """Expected passes over the sentences in the place of --steps; 40 if neither is given."""
    delta: float = 1e-5
    """Probability with which epsilon may fail; the bounds do not depend on it."""
    pattern: str = "pin"
    """What the secret is: call, pin:6, phone, ..., or a template 'my code is {digit*4}'."""
    space_size: int | None = None
    """Number of secrets that there could be, in the place of --pattern."""
    repetitions: tuple[int, ...] = (1, 10)
    """How many sentences say the secret."""
    json: bool = False
    """Print rows as JSON."""

    def run(self) -> int:
        """Print one line per number of repetitions."""
        self._check()
        size = self._size()
        plan = self._plan(size)
        rows = [_row(plan, size, copies) for copies in self.repetitions]
        print(json_text(rows, 1) if self.json else _table(plan, size, rows))
        return 0

    def _check(self) -> None:
        from modiva.privacy import check_delta  # SciPy, as below

        given = [
            f"--{name.replace('_', '-')} {value:g}"
            for name in ("noise", "epsilon", *_WANTED)
            if (value := getattr(self, name)) is not None
        ]
        if len(given) != 1:
            raise ModivaError(
                f"{' '.join(given) or 'no noise, epsilon or bound'}: give exactly one of --noise, "
                "--epsilon, --want-exact, --want-top10, --want-exposure and --want-auc"
            )
        if self.steps is not None and self.epochs is not None:
            raise ModivaError(
                f"--steps {self.steps} --epochs {self.epochs}: steps follow from epochs; give one"
            )
        at_least(self, 1, "sentences", "batch", "steps", "epochs", "space_size", flags=True)
        at_least(self, 0, "repetitions", "noise", flags=True)
        positive(self, "epsilon", *_WANTED, flags=True)
        require(bool(self.repetitions), "--repetitions", "", "at least one number")
        require(0 < self.delta < 1, "--delta", self.delta, "between 0 and 1, such as 1e-5")
        check_delta(self.delta, self.sentences)

    def _size(self) -> int:
        if self.space_size is not None:
            return self.space_size
        try:
            return get_pattern(self.pattern).size
        except CanaryError as error:
            raise ModivaError(f"{error}; or give --space-size, the number of secrets") from error

    def _plan(self, size: int) -> "PrivacyPlan":
        """Return the plan of the flags, for secrets from a space of `size`."""
        from modiva.privacy import (
            EPOCHS,
            PrivacyPlan,
            calibrate,
            least_noise,
            sampling_rate_of,
            steps_an_epoch,
        )

        rate = sampling_rate_of(self.sentences, self.batch)
        steps = self.steps or (self.epochs or EPOCHS) * steps_an_epoch(rate)

        def plan(noise: float) -> PrivacyPlan:
            return PrivacyPlan(self.sentences, rate, steps, 1.0, noise, self.delta)

        if self.noise is not None:
            return plan(self.noise)
        if self.epsilon is not None:
            return calibrate(
                epsilon=self.epsilon,
                delta=self.delta,
                dataset_size=self.sentences,
                sampling_rate=rate,
                steps=steps,
                clip_norm=1.0,
            )
        name, flag, wanted = next(
            (_WANTED[flag][0], flag, value)
            for flag in _WANTED
            if (value := getattr(self, flag)) is not None
        )
        floor = getattr(plan(1.0).bounds(size, 0), name)
        most = math.log2(size) if name == "exposure_bound" else 1.0
        if not floor < wanted <= most:
            raise ModivaError(
                f"--{flag.replace('_', '-')} {wanted:g}: must be above {floor:g}, which "
                f"{_WANTED[flag][1].format(count(size))} reaches, and at most {most:g}"
            )
        copies = max(self.repetitions)
        return least_noise(
            plan, lambda plan: float(getattr(plan.bounds(size, copies), name)), name, wanted
        )


def _row(plan: "PrivacyPlan", size: int, copies: int) -> dict[str, Any]:
    """Return one number of repetitions; an infinite epsilon, which JSON does not have, is None."""
    epsilons = {"epsilon": plan.epsilon(), "group_epsilon": plan.group_epsilon(copies)}
    return {
        "repetitions": copies,
        "space_size": size,
        "noise_multiplier": plan.noise_multiplier,
        "delta": plan.delta,
        **{name: value if math.isfinite(value) else None for name, value in epsilons.items()},
        **asdict(plan.bounds(size, copies)),
    }


def _table(plan: "PrivacyPlan", size: int, rows: list[dict[str, Any]]) -> str:
    lines = [list(_TITLES.values())]
    lines += [[_text(name, row[name]) for name in _TITLES] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return (
        f"noise multiplier {plan.noise_multiplier:.4g}, {plan.steps} steps, sampling rate "
        f"{plan.sampling_rate:.4g}, delta {plan.delta:g}, one of {count(size)} secrets\n{table}\n"
        "Bounds for any attack, whatever it knows beside the secret; guessing names one in "
        f"{count(size)} and has 1.44 bits."
    )


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "no bound"
    if name == "repetitions":
        return count(value)
    return f"{100 * value:.3g} %" if name in _RATES else f"{value:.4g}"
