"""What the server makes of the average of the updates: a step of its own optimiser.

Source: McMahan et al. 2017 (FedAvg); Reddi et al. 2021, algorithm 2 (FedAdagrad, FedYogi, FedAdam),
with the paper's constants and without bias correction.
"""

import torch
from torch import Tensor

from modiva.handling import Federated

Weights = dict[str, Tensor]

BETA_1, BETA_2, TAU = 0.9, 0.99, 1e-3
AVERAGED_RATE, ADAPTIVE_RATE = 1.0, 0.01
AVERAGING = ("fedavg", "fedprox")


class ServerOptimizer:
    """The server's step; its moments live from round to round.

    Args:
        settings: of the federation.
        weights: of the model, by name, for the shapes.
        moments: of an interrupted run.
    """

    def __init__(
        self, settings: Federated, weights: Weights, moments: Weights | None = None
    ) -> None:
        self.server = settings.server
        self.adaptive = self.server not in AVERAGING
        default = ADAPTIVE_RATE if self.adaptive else AVERAGED_RATE
        self.rate = default if settings.server_rate is None else settings.server_rate
        self.moments: Weights = moments or {}
        if self.adaptive and not self.moments:
            for name, value in weights.items():
                self.moments[f"m/{name}"] = torch.zeros_like(value)
                self.moments[f"v/{name}"] = torch.full_like(value, TAU**2)

    @torch.no_grad()
    def step(self, weights: Weights, update: Weights) -> None:
        """Move `weights` in place by the average `update` of the clients."""
        for name, delta in update.items():
            if not self.adaptive:
                weights[name] += self.rate * delta
                continue
            m, v = self.moments[f"m/{name}"], self.moments[f"v/{name}"]
            square = delta.square()
            m.lerp_(delta, 1.0 if self.server == "fedadagrad" else 1 - BETA_1)
            if self.server == "fedadagrad":
                v += square
            elif self.server == "fedyogi":
                v -= (1 - BETA_2) * square * (v - square).sign()
            else:
                v.lerp_(square, 1 - BETA_2)
            weights[name] += self.rate * m / (v.sqrt() + TAU)
