"""An objective and a search, held against the exhaustive optimum on a small trained target."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from attacks import build_completion, get_attack
from attacks.attack import SearchAttack
from attacks.objectives import Objective
from attacks.oracle import Oracle
from attacks.pool import Pool, Ranking, random_choices
from attacks.search.base import at_least, steps
from canaries import get_pattern
from modiva.condition import Condition
from modiva.training import prepare


def negative_logit(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return -logits.gather(1, labels.unsqueeze(1)).squeeze(1)  # (B, C), (B,) to (B,)


LOGIT = Objective("logit", negative_logit)


@dataclass(frozen=True)
class Climb:
    """Change one random slot of one random start at a time, and keep what is better.

    Args:
        steps: changes tried.
    """

    steps: int = 300

    def __post_init__(self) -> None:
        at_least(self, 1, "steps")

    def run(
        self, oracle: Oracle, generators: Sequence[torch.Generator], *, progress: bool = False
    ) -> list[Ranking]:
        pool = Pool(oracle)
        best = random_choices(oracle, generators, 1).squeeze(1)  # (P, n)
        problem = torch.arange(len(best))
        score = pool.score(problem, best)  # (P,)
        for _ in steps(self.steps, "climb", progress):
            fresh = random_choices(oracle, generators, 1).squeeze(1)
            slot = [
                torch.randint(len(known.sizes), (1,), generator=generator)
                for known, generator in zip(oracle.problems, generators, strict=True)
            ]
            changed = nn.functional.one_hot(torch.cat(slot), best.shape[1]).bool()  # (P, n)
            trial = torch.where(changed, fresh, best)
            scores = pool.score(problem, trial)
            better = scores < score
            best[better], score[better] = trial[better], scores[better]
        return pool.rankings()


def test_climb_nears_the_optimum_and_pays_for_each_candidate_once():
    condition = Condition(
        size="small", sentences=150, epochs=4, patterns=("pin:3",), repetitions=(10,)
    )
    ((target, _),) = prepare(condition, device="cpu").train([0])
    model, pattern = target.classifier.model, get_pattern("pin:3")
    problem = build_completion(
        target.classifier.tokenizer, model, pattern=pattern, label=target.questions[0].label
    )
    climb = SearchAttack("climb", LOGIT, Climb(steps=200))
    (found,) = climb.run(model, [problem])
    (best,) = get_attack("exhaustive", objective=LOGIT).run(model, [problem])
    assert best.evaluations == problem.size == 1000
    assert found.evaluations <= 201
    assert found.scores[0] >= best.scores[0] - 1e-5
    assert found.candidates[0] in best.candidates[:20]
    assert climb.run(model, [problem])[0].candidates == found.candidates
