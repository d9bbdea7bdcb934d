"""The frozen promise of a private training: how it samples, clips and adds noise."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from modiva.errors import ModivaError
from modiva.privacy.accounting import composed_epsilon, phases_of
from modiva.privacy.bounds import (
    CHANCE,
    Bounds,
    TradeOff,
    composed_bounds,
    composed_trade_off,
)
from modiva.validate import at_least, positive, require

NEIGHBOURING = "add-or-remove-one"
# Of batches whose size is not given. Noise is added once a step, so few and large steps are better;
# on HWU64 (9,000 sentences) a batch of 1,024 is 9 points of accuracy above one of 256.
BATCHES, SMALLEST_BATCH = 8, 256
# Expected passes over the sentences: a private model needs many large noisy steps.
EPOCHS = 40


@dataclass(frozen=True)
class PrivacyPlan:
    """DP-SGD with clipping and Poisson sampling (Abadi et al. 2016, algorithm 1).

    Formal guarantee: training that draws `steps` Poisson batches with `sampling_rate`, forms of
    each a sum that one example more or less moves by at most sensitivity * clip_norm, and adds
    Gaussian noise of standard deviation noise_multiplier * clip_norm to it is (`epsilon()`,
    delta)-differentially private for data sets that differ by one added or removed example, and
    (`group_epsilon(R)`, delta) for R of them.

    Args:
        dataset_size: number of training examples; public, as the rate is derived from it.
        sampling_rate: probability in (0, 1] of each example to be in a batch.
        steps: number of steps, at least 1.
        clip_norm: largest L2 norm of what is clipped.
        noise_multiplier: noise divided by the clip norm; a tuple gives each step its own.
        delta: probability of failure, in (0, 1); should be well below 1 / dataset_size.
        sensitivity: how many clip norms one example can move the sum: 1 where its own gradient is
            clipped, 2 where the mean of its micro-batch is (see `MicrobatchClipper`). Epsilon is
            that of `effective_noise_multipliers`, the noise divided by the sensitivity.
    """

    dataset_size: int
    sampling_rate: float
    steps: int
    clip_norm: float
    noise_multiplier: float | tuple[float, ...]
    delta: float
    neighbouring: str = NEIGHBOURING
    sensitivity: int = 1

    def __post_init__(self) -> None:
        at_least(self, 1, "dataset_size", "steps")
        positive(self, "clip_norm")
        require(0 < self.sampling_rate <= 1, "sampling_rate", self.sampling_rate, "in (0, 1]")
        require(0 < self.delta < 1, "delta", self.delta, "in (0, 1), such as 1e-5")
        require(self.neighbouring == NEIGHBOURING, "neighbouring", self.neighbouring, NEIGHBOURING)
        require(self.sensitivity in (1, 2), "sensitivity", self.sensitivity, "1 or 2 (clip norms)")
        if isinstance(self.noise_multiplier, tuple):
            require(
                len(self.noise_multiplier) == self.steps,
                "noise_multiplier",
                f"a schedule of {len(self.noise_multiplier)}",
                f"one number or one for each of the {self.steps} steps",
            )
        at_least(self, 0, "noise_multiplier")

    @property
    def noise_multipliers(self) -> tuple[float, ...]:
        """The noise multiplier of each step."""
        if isinstance(self.noise_multiplier, tuple):
            return self.noise_multiplier
        return (self.noise_multiplier,) * self.steps

    @property
    def effective_noise_multipliers(self) -> tuple[float, ...]:
        """The noise of each step divided by what one example can move: what epsilon depends on."""
        return tuple(noise / self.sensitivity for noise in self.noise_multipliers)

    @property
    def expected_batch_size(self) -> float:
        """The size of a batch that is public; the drawn size would leak."""
        return self.sampling_rate * self.dataset_size

    def noise_std(self, step: int) -> float:
        """Return the standard deviation of the noise on the clipped sum of step 0, 1, ..."""
        return self.noise_multipliers[step] * self.clip_norm

    def epsilon(self) -> float:
        """Return epsilon for one example (infinite without noise)."""
        return self.group_epsilon(1)

    def group_epsilon(self, repetitions: int) -> float:
        """Return epsilon for a secret that `repetitions` examples hold (0 for none of them)."""
        require(repetitions >= 0, "repetitions", repetitions, "0 or more")
        if repetitions == 0:
            return 0.0
        phases = phases_of(self.effective_noise_multipliers)
        return composed_epsilon(self.sampling_rate, phases, self.delta, repetitions)

    def trade_off(self, repetitions: int = 1) -> TradeOff:
        """Return the largest true positive rate at each false positive rate of any test.

        The test is between training with the `repetitions` examples of a secret and without them.
        """
        require(repetitions >= 0, "repetitions", repetitions, "0 or more")
        if repetitions == 0:
            return CHANCE
        phases = phases_of(self.effective_noise_multipliers)
        return composed_trade_off(self.sampling_rate, phases, repetitions)

    def bounds(self, space_size: int, repetitions: int = 1) -> Bounds:
        """Return what any attack can reach against a secret that `repetitions` examples hold.

        Args:
            space_size: number of secrets from which it was drawn, uniformly; 1 or more.
            repetitions: examples that hold it; of 0 the bounds are those of guessing.
        """
        require(space_size >= 1, "space_size", space_size, "1 or more")
        require(repetitions >= 0, "repetitions", repetitions, "0 or more")
        phases = phases_of(self.effective_noise_multipliers)
        return composed_bounds(self.sampling_rate, phases, repetitions, space_size)

    def verify(self, **running: Any) -> None:
        """Raise unless each named field of the plan has the value that really runs.

        Raises:
            ModivaError: naming the field that differs.
        """
        for name, value in running.items():
            if getattr(self, name) != value:
                raise ModivaError(
                    f"the privacy plan has {name}={getattr(self, name)!r}, and {name}={value!r} "
                    "is what runs, so its epsilon would not hold: make the plan from the settings "
                    "of the run"
                )

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> "PrivacyPlan":
        """Rebuild the plan that `describe` wrote (after JSON, too)."""
        # Plans were written without a sensitivity while there was per-example clipping alone.
        known = {"sensitivity": 1, **described}
        fields = {name: known[name] for name in cls.__dataclass_fields__}
        if isinstance(fields["noise_multiplier"], list):
            fields["noise_multiplier"] = tuple(fields["noise_multiplier"])
        return cls(**fields)

    def describe(self) -> dict[str, Any]:
        """Return the plan with its epsilon and accountant, for JSON (infinite epsilon as None).

        Where the sensitivity is not one clip norm, "epsilon_at_sensitivity_1" is the figure that
        accounting with the clip norm would give: it is no guarantee, and stands there to compare.
        """
        effective = self.effective_noise_multipliers
        described = {
            **asdict(self),
            "effective_noise_multiplier": (
                effective if isinstance(self.noise_multiplier, tuple) else effective[0]
            ),
            "expected_batch_size": self.expected_batch_size,
            "epsilon": _finite(self.epsilon()),
            "accountant": "PLD (connect the dots), Poisson sampling",
        }
        if self.sensitivity != 1:
            described["epsilon_at_sensitivity_1"] = _finite(replace(self, sensitivity=1).epsilon())
        return described


def sampling_rate_of(dataset_size: int, batch_size: int | None = None) -> float:
    """Return the sampling rate of batches of an expected size; None is the default size."""
    return min((batch_size or max(dataset_size // BATCHES, SMALLEST_BATCH)) / dataset_size, 1.0)


def steps_an_epoch(sampling_rate: float) -> int:
    """Return the steps after which about every sentence has been sampled once on average."""
    return max(round(1 / sampling_rate), 1)


def check_delta(delta: float, dataset_size: int) -> None:
    """Raise where delta is no promise, since it is at least one over the number of examples."""
    if delta >= 1 / dataset_size:
        raise ModivaError(
            f"delta={delta} with {dataset_size} training sentences: a delta of 1 / "
            "sentences or more allows publishing one of them; give a smaller one"
        )


def _finite(epsilon: float) -> float | None:
    return epsilon if math.isfinite(epsilon) else None
