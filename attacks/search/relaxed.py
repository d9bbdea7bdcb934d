"""Softmax relaxation: descend on the probabilities of each slot's options."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.oracle import Oracle
from attacks.pool import Pool, Ranking, normal_start
from attacks.search.base import at_least, positive, rows, steps


@dataclass(frozen=True)
class Relaxed:
    """Adam on logits z of each slot; the slot's input is softmax(z / T) @ option vectors.

    Args:
        restarts: independent starts, side by side.
        max_steps: gradient steps of a start at most.
        learning_rate: of Adam.
        temperature: T at the first step.
        final_temperature: T at the last step, reached geometrically.
        init_std: standard deviation of the normal start of z; 0 starts from the uniform mixture.
        patience: a start ends when its argmax has not changed for so many steps.
        readout: candidates read from the final probabilities of each start, likeliest first, and
            scored exactly.
    """

    needs_places = True

    restarts: int = 8
    max_steps: int = 300
    learning_rate: float = 0.1
    temperature: float = 2.0
    final_temperature: float = 0.1
    init_std: float = 1.0
    patience: int = 100
    readout: int = 8

    def __post_init__(self) -> None:
        rows(self, "restarts", "readout")
        at_least(self, 1, "max_steps", "patience")
        at_least(self, 0, "init_std")
        positive(self, "learning_rate", "temperature", "final_temperature")

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        """See `Search.run`."""
        device = oracle.device
        z = normal_start(oracle, generators, self.restarts, self.init_std).flatten(0, 1)
        problem = torch.arange(len(oracle.problems), device=device)
        problem = problem.repeat_interleave(self.restarts)  # (P * R,)
        adam = Adam(z, self.learning_rate)
        argmax = z.argmax(2)
        unchanged = torch.zeros_like(problem)
        running = torch.arange(len(z), device=device)
        cooling = self.final_temperature / self.temperature
        for step in steps(self.max_steps, "relaxed", progress):
            heat = self.temperature * cooling ** (step / max(1, self.max_steps - 1))
            leaf = z[running].requires_grad_()
            probabilities = (leaf / heat).softmax(2)
            _, gradient = oracle.relaxed(problem[running], probabilities)
            probabilities.backward(gradient)
            assert leaf.grad is not None
            z[running] = adam.step(z[running], leaf.grad, running)
            now = z[running].argmax(2)
            same = (now == argmax[running]).all(1)
            unchanged[running] = (unchanged[running] + 1) * same
            argmax[running] = now
            running = running[unchanged[running] < self.patience]
            if not len(running):
                break
        pool = Pool(oracle)
        for row_problem, choices in read_out(problem, z.log_softmax(2), self.readout):
            pool.score(row_problem, choices)
        return pool.rankings()


class Adam:
    """Adam (Kingma and Ba 2015) on rows that may stop at different steps."""

    def __init__(self, like: Tensor, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.mean, self.square = torch.zeros_like(like), torch.zeros_like(like)
        self.count = 0

    def step(self, values: Tensor, gradient: Tensor, rows: Tensor) -> Tensor:
        """Return the next values of `rows`, which must not have missed a step."""
        self.count += 1
        gradient = gradient.nan_to_num(0.0)  # absent options have logit -inf: no gradient
        self.mean[rows] = mean = self.mean[rows].lerp(gradient, 0.1)
        self.square[rows] = square = self.square[rows].lerp(gradient.square(), 0.001)
        mean = mean / (1 - 0.9**self.count)
        square = square / (1 - 0.999**self.count)
        return values - self.learning_rate * mean / (square.sqrt() + 1e-8)


def read_out(problem: Tensor, log_probabilities: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
    """Read the `count` likeliest candidates of each row, as (problem (N,), choices (N, n)) pairs.

    Args:
        problem: (N,) problem of each row.
        log_probabilities: (N, n, K) of each slot's options; -inf where there is none.
        count: candidates of each row; fewer where the space holds fewer.
    """
    rows, slots, options = log_probabilities.shape
    best = log_probabilities.new_zeros(rows, 1)
    choices = torch.zeros(rows, 1, 0, dtype=torch.long, device=problem.device)
    for slot in range(slots):
        joint = best.unsqueeze(2) + log_probabilities[:, None, slot]  # (N, m, K)
        best, at = joint.flatten(1).topk(min(count, joint[0].numel()))  # (N, m')
        kept = choices.gather(1, (at // options).unsqueeze(2).expand(-1, -1, slot))
        choices = torch.cat([kept, (at % options).unsqueeze(2)], dim=2)
    found = []
    for place in range(choices.shape[1]):
        real = best[:, place] > -torch.inf
        found.append((problem[real], choices[real, place]))
    return found
