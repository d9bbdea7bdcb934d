"""The least noise that keeps a promise: an epsilon, or a bound on what attacks can reach."""

import math
from collections.abc import Callable, Sequence

from scipy import optimize

from modiva.errors import ModivaError
from modiva.privacy.plan import PrivacyPlan
from modiva.validate import require

# Noise multipliers are looked for in this range.
SMALLEST_NOISE, LARGEST_NOISE = 0.05, 1000.0


def calibrate(
    *,
    epsilon: float,
    delta: float,
    dataset_size: int,
    sampling_rate: float,
    steps: int,
    clip_norm: float,
    sensitivity: int = 1,
    noise_schedule: Sequence[float] | None = None,
) -> PrivacyPlan:
    """Return the plan with the least noise (to 0.1 %) whose epsilon is at most the given one.

    Args:
        epsilon: the wanted bound, above 0.
        delta: probability of failure, in (0, 1).
        dataset_size: number of training examples.
        sampling_rate: probability of each example to be in a batch.
        steps: number of steps.
        clip_norm: largest L2 norm of what is clipped.
        sensitivity: how many clip norms one example can move a step's sum.
        noise_schedule: noise of each step over that of the first; None for the same in all.

    Raises:
        ModivaError: when a value is out of range, or no noise in [0.05, 1000] gives this epsilon.
    """
    require(0 < epsilon < math.inf, "epsilon", epsilon, "above 0 and finite")

    def plan(noise: float) -> PrivacyPlan:
        noises = noise if noise_schedule is None else tuple(noise * s for s in noise_schedule)
        return PrivacyPlan(
            dataset_size, sampling_rate, steps, clip_norm, noises, delta, sensitivity=sensitivity
        )

    return least_noise(plan, PrivacyPlan.epsilon, "epsilon", epsilon)


def least_noise(
    plan: Callable[[float], PrivacyPlan],
    measure: Callable[[PrivacyPlan], float],
    name: str,
    wanted: float,
) -> PrivacyPlan:
    """Return the plan with the least noise (to 0.1 %) whose measure is at most `wanted`.

    Args:
        plan: the plan of a noise multiplier.
        measure: falls as the noise rises.
        name: of the measure, for the message.
        wanted: largest value of it.

    Raises:
        ModivaError: no noise multiplier in [0.05, 1000] has it.
    """
    # Widen from 1: very small noise is slow to account for, and rarely asked for.
    low = high = 1.0
    while measure(plan(high)) > wanted:
        low, high = high, high * 2
        if high > LARGEST_NOISE:
            raise ModivaError(
                f"{name}={wanted} needs a noise multiplier above {LARGEST_NOISE:g}: "
                f"ask for a larger {name}, fewer steps or a smaller sampling rate"
            )
    while low == high and low > SMALLEST_NOISE and measure(plan(low)) <= wanted:
        low, high = max(low / 2, SMALLEST_NOISE), low
        if measure(plan(low)) <= wanted:
            high = low
    if low < high:

        def excess(logarithm: float) -> float:
            return math.log(max(measure(plan(math.exp(logarithm))), 1e-9) / wanted)

        # A few evaluations, as the measure is nearly a power; then up to the safe side.
        found = optimize.brentq(excess, math.log(low), math.log(high), xtol=2e-4)
        high = min(math.exp(found + 4e-4), high)
        while measure(plan(high)) > wanted:
            high *= 1.0005
    return plan(high)
