"""The first candidate is called a find where it stands out of decoys, and a guess elsewhere."""

import dataclasses
import json
import random

import numpy as np
import pytest
import torch

from attacks.__main__ import main
from attacks.decoys import decoys
from attacks.registry import get_attack
from attacks.tokenise import build_completion
from attacks.verdict import joined, judge, rescaled, tied
from canaries.patterns import get_pattern
from modiva.condition import Condition
from modiva.training import prepare

KEYS = {
    "sentence", "evidence", "p_value", "decoys", "parts", "statistic", "ranker",
    "ahead_of_next", "tied", "label_given", "given", "reference", "whole",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    """CNNs of the same sentences: one with a code said thirty times, one that never saw any."""

    def train(repetitions: int):
        condition = Condition(
            target="cnn", size="small", patterns=("pin:3",), repetitions=(repetitions,),
            controls=0, sentences=400, label="HassGetState",
        )  # fmt: skip
        return prepare(condition, device="cpu").train([3])[0]

    return train(30), train(0)


def asked(target, **settings):
    model = target.classifier.model
    (question,) = target.questions
    problem = build_completion(
        target.classifier.tokenizer, model, pattern=question.pattern, label=question.label
    )
    (found,) = get_attack("exhaustive").run(model, [problem])
    return problem, found, judge(model, problem, found, **settings)


def test_a_planted_code_is_named_with_evidence_and_the_clean_model_gives_none(trained):
    (planted, ledger), (clean, _) = trained
    problem, found, verdict = asked(planted)
    assert verdict.evidence
    assert verdict.p_value < 0.05
    assert found.candidates[0] == ledger.canaries[0].secret
    assert problem.text(ledger.canaries[0].secret) in verdict.sentence
    assert verdict.label_given
    assert verdict.given == "HassGetState"
    assert verdict.whole
    assert verdict.decoys == 200
    _, found, verdict = asked(clean)
    assert not verdict.evidence
    assert verdict.sentence.startswith("No evidence")
    assert verdict.p_value >= 0.05
    assert verdict.ahead_of_next == pytest.approx(found.scores[1] - found.scores[0])


def test_a_reference_without_the_secret_takes_its_own_preferences_off(trained):
    (planted, _), (clean, _) = trained
    assert asked(planted, reference=clean.classifier.model)[2].evidence
    same = asked(planted, reference=planted.classifier.model)[2]
    assert not same.evidence
    assert same.statistic == pytest.approx(0)
    assert same.p_value == 1


def test_the_statistic_is_the_logit_less_the_mean_above_its_median(trained):
    (planted, _), _ = trained
    model, tokenizer = planted.classifier.model, planted.classifier.tokenizer
    problem, _found, verdict = asked(planted)
    texts = [
        problem.text((a, b, c)) for a in "0123456789" for b in "0123456789" for c in "0123456789"
    ]
    with torch.no_grad():
        logits = model(**tokenizer(texts, return_tensors="pt")).logits.double()  # (1000, L)
    label = problem.label
    best = (logits[:, label] - logits.logsumexp(1)).argmax()
    contrast = logits[:, label] - logits.mean(1)
    expected = float(contrast[best] - contrast.median())
    assert verdict.statistic == pytest.approx(expected, abs=1e-4)


def test_decoys_keep_the_slots_and_change_the_words(trained):
    (planted, _), _ = trained
    problem, _, _ = asked(planted)
    model = planted.classifier.model
    made = decoys(problem, model, 10, random.Random(0))
    assert len({decoy.parts[0] for decoy in made}) == 10
    for decoy in made:
        words = decoy.parts[0].split()
        assert decoy.parts[1:] == problem.parts[1:]
        assert (words[0], words[3]) == ("my", "is")
        assert words[1:3] != ["pin", "code"]
        # Slots stand where the text has them.
        built = build_completion(
            planted.classifier.tokenizer, model, label=problem.label,
            pattern=get_pattern(f"{decoy.parts[0]}{{digit*3}}"),
        )  # fmt: skip
        assert torch.equal(decoy.input_ids, built.input_ids)
        assert all(map(torch.equal, decoy.positions, built.positions))


def test_a_space_that_is_too_large_is_sampled_and_searched(trained):
    (planted, _ledger), _ = trained
    model = planted.classifier.model
    (question,) = planted.questions
    wide = get_pattern("my pin code is {digit*6}")
    problem = build_completion(
        planted.classifier.tokenizer, model, pattern=wide, label=question.label
    )
    (found,) = get_attack("coordinate").run(model, [problem])
    verdict = judge(model, problem, found, count=30)
    assert not verdict.whole
    assert 0 < verdict.p_value <= 1
    assert verdict == judge(model, problem, found, count=30)
    # A first candidate that is no better than others is not saved by a search that finds more.
    poor = dataclasses.replace(found, candidates=(("0",) * 6,), scores=(0.0,))
    assert judge(model, problem, poor, count=30).statistic <= verdict.statistic


def test_p_values_count_the_question_among_its_decoys():
    assert joined(np.array([[3.0], [1.0], [2.0]])) == (
        pytest.approx(1 / 3),
        {"score": pytest.approx(1 / 3)},
    )
    assert joined(np.array([[2.0], [1.0], [2.0], [3.0]]))[0] == pytest.approx(3 / 4)  # ties count
    assert joined(np.array([[0.0]]))[0] == 1


def test_kinds_of_evidence_are_joined_by_their_ranks_and_unknown_ones_left_out():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2000, 41, 2))
    found = np.array([joined(one)[0] for one in values])
    assert 0.03 < (found < 0.05).mean() < 0.07  # valid under exchange: 2 of 41 ranks
    values[:, 0] += 1.6
    strong = np.array([joined(one)[0] for one in values])
    alone = np.array([joined(one[:, :1])[0] for one in values])
    assert (strong < 0.05).mean() > (alone < 0.05).mean() + 0.05
    values[0, 3, 1] = np.nan
    p, parts = joined(values[0])
    assert set(parts) == {"score"}
    assert p == joined(np.delete(values[0], 1, 1))[0]


def test_sentences_of_another_spread_are_put_on_one_scale():
    """Where every label of the question's sentence varies more, no label of it stands out."""
    rng = np.random.default_rng(0)
    sentence = np.repeat(np.arange(5), 20)
    values = rng.normal(size=(2000, 100, 2))
    values[:, sentence == 0] = values[:, sentence == 0] * 1.5 + 0.5
    raw = np.array([joined(one)[0] for one in values])
    scaled = np.array([joined(rescaled(one, sentence))[0] for one in values])
    assert (raw < 0.05).mean() > 0.1
    assert 0.035 < (scaled < 0.05).mean() < 0.065
    few = np.repeat(np.arange(25), 4)  # too few labels to tell a scale
    assert np.array_equal(rescaled(values[0], few), values[0])


def test_ties_are_counted_to_float_rounding():
    assert tied([0.5, 0.5, 0.5 + 1e-7, 0.6]) == 3
    assert tied([0.0, 0.0, 1e-3]) == 2
    assert tied([-4.0]) == 1


def test_fewer_labels_and_no_words_leave_too_few_decoys_to_tell(bert, tokenizer):
    problem = build_completion(tokenizer, bert, pattern=get_pattern("{digit*2}"), label="music")
    (found,) = get_attack("exhaustive").run(bert, [problem])
    verdict = judge(bert, problem, found)
    assert verdict.decoys == 2
    assert not verdict.evidence
    assert "only 2 decoys" in verdict.sentence


def test_the_command_ends_in_the_verdict(tmp_path, tokenizer, bert, capsys):
    folder = tmp_path / "target"
    bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    question = [str(folder), "--template", "my pin is {digit*2}", "--label", "music"]
    assert main([*question, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["verdict"]
    assert set(printed) == KEYS
    assert printed["evidence"] == (printed["p_value"] < 0.05)
    assert main(question) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == printed["sentence"]
    assert lines[1].split()[-1] == ("sentence" if printed["evidence"] else "guess")
    assert main([*question, "--no-verdict", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] is None
    for wrong, says in [
        (["--decoys", "19"], "at least 20"),
        (["--reference", str(folder), "--no-verdict"], "--reference"),
        (["--initial", str(folder), "--no-verdict"], "--initial"),
    ]:
        assert main([*question, *wrong]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert len(error.splitlines()) == 1


def test_a_reference_of_other_classes_or_tokens_is_refused(tmp_path, tokenizer, bert, capsys):
    folders = [tmp_path / name for name in ("target", "labels", "words")]
    for folder in folders:
        bert.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    config = json.loads((folders[1] / "config.json").read_text())
    config["id2label"]["0"], config["id2label"]["2"] = "alarm", "lights"
    (folders[1] / "config.json").write_text(json.dumps(config))
    words = json.loads((folders[2] / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    vocabulary["call"], vocabulary["my"] = vocabulary["my"], vocabulary["call"]
    (folders[2] / "tokenizer.json").write_text(json.dumps(words))
    for folder, says in zip(folders[1:], ("other labels", "another tokenizer"), strict=True):
        question = [str(folders[0]), "--template", "my pin is {digit*2}", "--label", "music"]
        assert main([*question, "--reference", str(folder)]) == 2
        assert says in capsys.readouterr().err
