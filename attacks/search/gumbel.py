"""Gumbel-softmax search: descend on a distribution over candidates through its samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from attacks.oracle import Oracle
from attacks.pool import Pool, Ranking, normal_start, random_like
from attacks.search.base import at_least, positive, rows, steps
from attacks.search.relaxed import Adam


@dataclass(frozen=True)
class Gumbel:
    """Adam on the log-coefficients of each slot, through Gumbel-softmax samples (Guo et al. 2021).

    Args:
        restarts: independent starts, side by side.
        steps: gradient steps.
        samples: relaxed samples in each step.
        learning_rate: of Adam.
        temperature: of the Gumbel-softmax at the first step.
        final_temperature: at the last step, reached geometrically.
        init_std: standard deviation of the normal start of the coefficients.
        final_samples: hard candidates drawn from each start at the end and scored exactly,
            beside the mode.
    """

    needs_places = True

    restarts: int = 8
    steps: int = 100
    samples: int = 4
    learning_rate: float = 0.3
    temperature: float = 1.0
    final_temperature: float = 0.2
    init_std: float = 0.5
    final_samples: int = 32

    def __post_init__(self) -> None:
        rows(self, "restarts", "samples")
        at_least(self, 1, "steps")
        at_least(self, 0, "init_std", "final_samples")
        positive(self, "learning_rate", "temperature", "final_temperature")

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        """See `Search.run`."""
        device = oracle.device
        theta = normal_start(oracle, generators, self.restarts, self.init_std)  # (P, R, n, K)
        count = len(oracle.problems)
        every = torch.arange(count * self.restarts, device=device)
        problem = every // self.restarts  # (P * R,)
        adam = Adam(theta.flatten(0, 1), self.learning_rate)
        cooling = self.final_temperature / self.temperature
        for step in steps(self.steps, "gumbel", progress):
            heat = self.temperature * cooling ** (step / max(1, self.steps - 1))
            leaf = theta.flatten(0, 1).requires_grad_()  # (P * R, n, K)
            noise = self._noise(oracle, generators, self.samples).to(device)  # (P * R, S, n, K)
            soft = ((leaf.unsqueeze(1) + noise) / heat).softmax(3).flatten(0, 1)
            _, gradient = oracle.relaxed(problem.repeat_interleave(self.samples), soft)
            soft.backward(gradient / self.samples)
            assert leaf.grad is not None
            theta = adam.step(leaf.detach(), leaf.grad, every).view_as(theta)
        pool = Pool(oracle)
        rows = theta.flatten(0, 1)
        pool.score(problem, rows.argmax(2))
        if self.final_samples:
            noise = self._noise(oracle, generators, self.final_samples).to(device)
            hard = (rows.unsqueeze(1) + noise).argmax(3).flatten(0, 1)
            pool.score(problem.repeat_interleave(self.final_samples), hard)
        return pool.rankings()

    def _noise(
        self, oracle: Oracle, generators: Sequence[torch.Generator], samples: int
    ) -> torch.Tensor:
        """Draw standard Gumbel noise (P * R, samples, n, K)."""
        uniform = random_like(oracle, generators, self.restarts * samples, normal=False)
        noise = -(-uniform.clamp_min(1e-20).log()).clamp_min(1e-20).log()
        return noise.view(-1, samples, *noise.shape[2:])
