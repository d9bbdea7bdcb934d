"""Labels and losses are those of the head: softmax, one sigmoid a label, or no classifier."""

import itertools

import pytest
import torch

from attacks import AttackError, build_completion, get_attack
from attacks.checkpoint import load_checkpoint
from attacks.labels import resolve_label
from attacks.objectives import OBJECTIVES, label_margins
from attacks.scoring import score_space
from canaries.patterns import parse_slots


def multi_label(model):
    model.config.problem_type = "multi_label_classification"
    return model


@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_multi_label_head_is_scored_by_the_sigmoid_of_its_label(tokenizer, bert, label):
    model = multi_label(bert)
    problem = build_completion(
        tokenizer, model, prefix="call", slots=parse_slots("digit*2"), label=label
    )
    plain = []
    for secret in itertools.product("0123456789", repeat=2):
        ids = tokenizer("call " + " ".join(secret), return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logit = model(input_ids=ids).logits[0, label]
        plain.append(torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.tensor(1.0)))
    expected = torch.stack(plain)
    torch.testing.assert_close(
        torch.tensor(score_space(model, problem)), expected, rtol=1e-4, atol=1e-6
    )
    (found,) = get_attack("exhaustive").run(model, [problem])
    assert found.candidates[0] == problem.secret(divmod(int(expected.argmin()), 10))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_of_a_sigmoid_looks_at_the_logit_of_the_label_alone(bert, name):
    objective = OBJECTIVES[name].on_head(multi_label(bert).config)
    logits = torch.tensor([[1.0, 2.0, -1.0], [9.0, 2.0, 9.0], [0.0, 3.0, 0.0]])
    labels = torch.ones(3, dtype=torch.long)
    scores, optimised = objective.score(logits, labels), objective.optimised(logits, labels)
    assert scores[0] == scores[1] > scores[2]
    assert optimised[0] == optimised[1] > optimised[2]


@pytest.mark.parametrize("problem_type", ["single_label_classification", None,
                                          "multi_label_classification"])  # fmt: skip
def test_margins_of_all_labels_are_those_of_the_objective(bert, problem_type):
    bert.config.problem_type = problem_type
    logits = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
    margins = label_margins(logits, bert.config)
    score = OBJECTIVES["margin"].on_head(bert.config).score
    for label in range(3):
        expected = -score(logits, torch.full((20,), label))
        torch.testing.assert_close(margins[:, label], expected)


def named(model, names, label2id=None):
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = label2id or {name: i for i, name in enumerate(names)}
    return model


def test_a_name_of_several_classes_is_refused_and_an_index_works(bert):
    model = named(bert, ["music", "lights", "music"])
    with pytest.raises(AttackError, match="'music' is the name of classes 0, 2"):
        resolve_label(model, "music")
    assert [resolve_label(model, index) for index in (0, 1, 2)] == [0, 1, 2]
    assert [resolve_label(model, text) for text in ("0", "lights", "2")] == [0, 1, 2]


def test_two_tables_of_labels_that_differ_are_refused(bert):
    model = named(bert, ["a", "b", "c"], {"a": 1, "b": 0, "c": 2})
    with pytest.raises(AttackError, match="'a' is the name of classes 0, 1"):
        resolve_label(model, "a")
    assert resolve_label(model, "c") == 2
    assert resolve_label(model, "1") == 1
    assert resolve_label(named(bert, ["LABEL_0", "LABEL_1", "LABEL_2"], {"phone": 1}), "phone") == 1


def test_a_number_that_is_a_name_and_another_index_is_refused(bert):
    stars = named(bert, ["1", "2", "3"])
    with pytest.raises(AttackError, match="name of class 0 and the index of class 1"):
        resolve_label(stars, "1")
    assert resolve_label(stars, "3") == 2  # no class has the index 3
    assert resolve_label(stars, "0") == 0
    assert resolve_label(stars, "name:1") == 0
    assert resolve_label(stars, "index:1") == resolve_label(stars, 1) == 1
    assert resolve_label(named(bert, ["0", "1", "2"]), "1") == 1
    with pytest.raises(AttackError, match=r"label 4 is not in 0\.\.2"):
        resolve_label(stars, "4")


def test_a_head_of_one_output_is_a_sigmoid_or_refused(bert):
    model = named(bert, ["spam"])
    for problem_type in (None, "regression", "single_label_classification"):
        model.config.problem_type = problem_type
        with pytest.raises(AttackError, match=r"regression .*not a classifier"):
            resolve_label(model, "spam")
    assert resolve_label(multi_label(model), "spam") == 0
    wide = named(bert, ["a", "b"])
    wide.config.problem_type = "regression"
    with pytest.raises(AttackError, match="regression"):
        resolve_label(wide, 0)


def test_a_checkpoint_of_one_sigmoid_is_loaded_and_scored(tmp_path, tokenizer, make_bert):
    config = make_bert(tokenizer).config
    config.id2label, config.label2id = {0: "spam"}, {"spam": 0}
    config.problem_type = "multi_label_classification"
    type(make_bert(tokenizer))(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, its = load_checkpoint(str(tmp_path), device="cpu")
    problem = build_completion(its, model, prefix="call", slots=parse_slots("digit"), label="spam")
    ids = its([f"call {digit}" for digit in range(10)], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = torch.nn.functional.softplus(-model(input_ids=ids).logits[:, 0])
    torch.testing.assert_close(
        torch.tensor(score_space(model, problem)), expected, rtol=1e-4, atol=1e-6
    )
