"""An attack that is no search: rank a space by what training did to the loss of each secret."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from transformers import PreTrainedModel

from attacks import AttackError, Knowledge, Reconstruction, build_completion
from attacks.attack import Scored
from attacks.problem import Completion
from attacks.scoring import score_space
from attacks.search.exhaustive import unravel
from modiva.condition import Condition
from modiva.training import prepare


@dataclass(frozen=True)
class LossDrop:
    """Rank by the loss after training less the loss before (calibration, arXiv 2111.08440)."""

    name = "loss-drop"
    source = ""
    needs = frozenset({"initial"})
    settings: ClassVar[dict[str, Any]] = {}

    def run(
        self,
        model: PreTrainedModel,
        problems: Sequence[Completion],
        *,
        knowledge: Knowledge | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> list[Reconstruction]:
        if knowledge is None or knowledge.initial is None:
            raise AttackError("attack loss-drop needs the weights before training")
        return [self._rank(model, knowledge.initial, problem) for problem in problems]

    def _rank(
        self, model: PreTrainedModel, initial: PreTrainedModel, problem: Completion
    ) -> Reconstruction:
        started = time.perf_counter()
        scores = torch.from_numpy(score_space(model, problem) - score_space(initial, problem))
        best = scores.sort(stable=True).indices  # (size,) of secrets, numbered as by Pattern.index
        return Reconstruction.of(
            problem,
            self.name,
            self.name,
            unravel(best[:100], problem.sizes).tolist(),
            scores[best[:100]].tolist(),
            2 * problem.size,
            time.perf_counter() - started,
            Scored(torch.arange(problem.size), scores),
        )


def test_it_ranks_the_secret_before_most_and_refuses_to_run_without_the_initial_weights():
    condition = Condition(
        size="small", sentences=150, epochs=6, patterns=("pin:3",), repetitions=(10,)
    )
    prepared = prepare(condition, device="cpu")
    ((target, ledger),) = prepared.train([0])
    question, model = target.questions[0], target.classifier.model
    problem = build_completion(
        target.classifier.tokenizer, model, pattern=question.pattern, label=question.label
    )
    with pytest.raises(AttackError, match="needs the weights before training"):
        LossDrop().run(model, [problem])
    knowledge = Knowledge(initial=prepared.initial_model(target))
    (found,) = LossDrop().run(model, [problem], knowledge=knowledge)
    assert found.scores == tuple(sorted(found.scores))
    number = question.pattern.index(ledger.canaries[0].secret)
    assert (found.scored.scores < found.scored.scores[number]).sum() < 100  # of 1,000
