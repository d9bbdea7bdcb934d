"""A learned attack: fit a ranker on shadow models, then rank the candidates of a target."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from attacks import AttackError, Knowledge, Ranker, Shadow, build_completion, fit_ranker, get_attack
from modiva.condition import Condition
from modiva.training import Prepared, prepare

MINE = Condition(
    size="small",
    sentences=150,
    epochs=6,
    patterns=("pin:2",),
    repetitions=(10,),
    controls=0,
    side="shadows",  # the attacker's part of the corpus; no sentence of the targets is in it
)
THEIRS = replace(MINE, side="targets")


def shadows(prepared: Prepared, models: int) -> Iterator[Shadow]:
    for target, ledger in prepared.train(range(models)):
        model, tokenizer = target.classifier.model, target.classifier.tokenizer
        before = prepared.initial_model(target)  # leave out where the weights are secret
        for question, canary in zip(target.questions, ledger.canaries, strict=True):
            problem = build_completion(
                tokenizer, model, pattern=question.pattern, label=question.label
            )
            yield Shadow(model, problem, problem.choices(canary.secret), before)


def fit(models: int = 6) -> Ranker:
    return fit_ranker(list(shadows(prepare(MINE, device="cpu"), models)))


def test_a_fitted_ranker_is_kept_and_ranks_a_target(tmp_path):
    fit().save(tmp_path / "ranker")
    prepared = prepare(THEIRS, device="cpu")
    ((target, ledger),) = prepared.train([100])
    question, model = target.questions[0], target.classifier.model
    problem = build_completion(
        target.classifier.tokenizer, model, pattern=question.pattern, label=question.label
    )
    knowledge = Knowledge(
        initial=prepared.initial_model(target), ranker=Ranker.load(tmp_path / "ranker")
    )
    attack = get_attack("ranker-initial")
    assert attack.needs == {"ranker", "initial"}
    (found,) = attack.run(model, [problem], knowledge=knowledge)
    place = found.candidates.index(ledger.canaries[0].secret)
    assert place < 20  # of 100
    with pytest.raises(AttackError, match="needs a ranker"):
        attack.run(model, [problem])
