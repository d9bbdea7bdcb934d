"""The core facts again on CUDA, where there is one: `pytest -m gpu`.

They have not been run on the machines that this project is developed on, which have none.
"""

import copy

import numpy as np
import pytest
import torch

from attacks import ATTACKS, Knowledge, Ranker, build_completion, get_attack
from attacks.scoring import score_space
from canaries import get_pattern
from modiva.classifiers import build, parse_target
from modiva.privacy.engine import PerExampleClipper
from modiva.privacy.reference import ReferenceClipper
from modiva.studies import AuditSpec, EngineSettings, run_study

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
TEXTS = ["call 1 2 3 4", "play some music", "what is the weather", "turn on the light"]
OWN = ("cnn", "lstm", "lstm-char", "transformer")


@pytest.fixture(params=OWN)
def classifier(request):
    return build(
        parse_target(request.param, "small"),
        texts=TEXTS,
        intents=["phone", "music"],
        extra_words=[str(digit) for digit in range(10)],
    )


def test_scores_on_cuda_are_those_of_the_cpu(classifier):
    model, tokenizer = classifier.model, classifier.tokenizer
    problem = build_completion(tokenizer, model, pattern=get_pattern("call:3"), label="phone")
    on_cpu = score_space(model, problem, "margin")
    on_cuda = score_space(model.to("cuda"), problem, "margin")
    np.testing.assert_allclose(on_cuda, on_cpu, atol=1e-3)


@pytest.mark.parametrize("name", list(ATTACKS))
def test_every_attack_runs_on_cuda(classifier, name):
    initial = copy.deepcopy(classifier.model).to("cuda")
    model, tokenizer = classifier.model.to("cuda"), classifier.tokenizer
    problem = build_completion(tokenizer, model, pattern=get_pattern("call:2"), label="phone")
    attack = get_attack(name)
    ranker = Ranker({"margin": 1.0}, initial="initial" in attack.needs)
    (found,) = attack.run(model, [problem], knowledge=Knowledge(initial=initial, ranker=ranker))
    assert found.candidates


def test_clipped_sums_on_cuda_are_the_oracle_s(classifier):
    model = classifier.model.to("cuda").train()
    ids = torch.randint(2, 10, (6, 7), device="cuda")
    labels = torch.randint(0, 2, (6,), device="cuda")
    sums = []
    for engine in (PerExampleClipper, ReferenceClipper):
        model.zero_grad()
        with engine(model, 0.1) as clipper:
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
            clipper.backward(torch.nn.functional.cross_entropy(logits, labels, reduction="none"))
            sums.append(
                torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
            )
    torch.testing.assert_close(sums[0], sums[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_whole_cell_runs_on_cuda(noise, tmp_path):
    spec = AuditSpec(
        target=("lstm",), pattern=("call:3",), repetitions=(20,), noise=(noise,), models=2,
        sentences=200, epochs=2, attack=("coordinate",), controls=1,
    )  # fmt: skip
    engine = EngineSettings("debug")
    result = run_study(spec, tmp_path / "out", engine, device="cuda", progress=False)
    assert len(result.frame()) == 2 * 2
