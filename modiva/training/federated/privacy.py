"""User-level differential privacy: clipped updates, equal weights, noise on their sum.

Source: McMahan et al. 2018 (arXiv 1710.06963); adaptive clipping of Andrew et al. 2021 (arXiv
1905.03871). A guarantee holds for all sentences of one device, against those who see global
models: the server that adds the noise has seen the updates.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modiva.handling import Federated
from modiva.privacy import PrivacyPlan, calibrate, check_delta
from modiva.training.federated.selection import Floats
from modiva.training.federated.server import Weights
from modiva.training.seeds import generator, stream_seed

DELTA = 1e-5
FIRST_CLIP = 1.0  # of adaptive clipping
QUANTILE, CLIP_RATE = 0.5, 0.2
# Standard deviation of the noise on the count of unclipped updates: a twentieth of the clients of a
# round (Andrew et al. 2021), and so much that the updates' own noise grows by 3 % at most.
COUNT_SHARE, LEAST_COUNT_NOISE = 20, 2.0


class UserPrivacy:
    """Clips updates, adds noise to their sum, and accounts for both.

    Args:
        settings: of the federation, which is private.
        probabilities: (clients,) of taking part in a round, the largest over all rounds.
        seed: of the noise.
        clip_norm: of an interrupted run.
    """

    def __init__(
        self, settings: Federated, probabilities: Floats, seed: int, clip_norm: float | None = None
    ) -> None:
        self.settings, self.probabilities, self.seed = settings, probabilities, seed
        self.adaptive = settings.clip_norm is None
        self.clip_norm = clip_norm or settings.clip_norm or FIRST_CLIP
        self.plan = user_plan(settings, float(probabilities.max()))
        noise = self.plan.noise_multipliers[0]
        self.noise = noise
        self.count_noise = 0.0
        if self.adaptive:
            self.count_noise = max(settings.per_round / COUNT_SHARE, LEAST_COUNT_NOISE * noise)
            # Both releases together have the noise multiplier of the plan (theorem 1), since one
            # device moves the count by 1/2 at most.
            self.noise = (noise**-2 - (2 * self.count_noise) ** -2) ** -0.5
        self._count = 0.0

    def clip(self, weights: Weights) -> Tensor:
        """Clip updates (m, ...) in place, each to the norm of the round; return norms (m,)."""
        norms = update_norms(weights)
        # Half a device below 0 and half above: one more or less moves the count by half.
        self._count += float(((norms <= self.clip_norm).double() - 0.5).sum())
        factors = (self.clip_norm / norms.clamp_min(1e-12)).clamp_max(1.0)
        for value in weights.values():
            value *= factors.view(-1, *[1] * (value.dim() - 1))
        return norms

    def release(self, total: Weights, round_: int) -> None:
        """Turn the sum of clipped updates into their noisy average, in place; adapt the norm.

        The divisor is the expected number of clients, whoever took part.
        """
        draws = generator(stream_seed([self.seed, round_], "release"), "noise")
        std = self.noise * self.clip_norm
        for value in total.values():
            noise = torch.randn(value.shape, generator=draws).to(value)
            value.add_(noise, alpha=std).div_(self.settings.per_round)
        if self.adaptive:
            count = self._count + self.count_noise * float(torch.randn((), generator=draws))
            share = count / self.settings.per_round + 0.5
            self.clip_norm *= math.exp(-CLIP_RATE * (share - QUANTILE))
        self._count = 0.0

    def describe(self, clip_norms: Sequence[float]) -> dict[str, Any]:
        """Return the plan, what ran, and the epsilon of every device where they differ."""
        described = self.plan.describe()
        described["ran"] = {"clip_norms": list(clip_norms), "count_noise": self.count_noise}
        if np.ptp(self.probabilities) > 0:
            rates, where = np.unique(self.probabilities, return_inverse=True)
            epsilons = [device_epsilon(self.plan, rate) for rate in rates.tolist()]
            finite = [e if math.isfinite(e) else None for e in epsilons]  # JSON has no infinity
            described["epsilon_by_device"] = [finite[place] for place in where]
        return described


def user_plan(settings: Federated, sampling_rate: float) -> PrivacyPlan:
    """Return the plan of a private federation: its examples are devices.

    Args:
        settings: of the federation.
        sampling_rate: of the device that takes part most often.

    Raises:
        ModivaError: more devices than delta allows, or no noise that gives the epsilon.
    """
    check_delta(DELTA, settings.clients)
    common: dict[str, Any] = {
        "dataset_size": settings.clients,
        "sampling_rate": sampling_rate,
        "steps": settings.rounds,
        "clip_norm": settings.clip_norm or FIRST_CLIP,
        "delta": DELTA,
    }
    if settings.epsilon is not None:
        return calibrate(epsilon=settings.epsilon, **common)
    return PrivacyPlan(noise_multiplier=settings.noise_multiplier, **common)


def device_epsilon(plan: PrivacyPlan, sampling_rate: float) -> float:
    """Return the epsilon of a device that takes part with a probability of its own."""
    if sampling_rate == 0:
        return 0.0
    return replace(plan, sampling_rate=sampling_rate).epsilon()


def update_norms(weights: Weights) -> Tensor:
    """Return the L2 norms (m,) of updates (m, ...) over all weights."""
    squares = [value.flatten(1).square().sum(1) for value in weights.values()]
    return torch.stack(squares).sum(0).sqrt()
