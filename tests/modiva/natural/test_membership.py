"""Members of a checkpoint that memorised are told, others are not; bad input is refused."""

import csv
import json
import random

import pytest
from transformers import BertConfig, BertForSequenceClassification

from modiva.classifiers import Classifier, TargetSpec, build
from modiva.classifiers.checkpoint import save
from modiva.cli import main
from modiva.condition import Condition
from modiva.errors import ModivaError
from modiva.natural import infer_members
from modiva.training import resolve
from modiva.training.loop import train

INTENTS = ["play", "weather", "book"]
WORDS = [f"word{number}" for number in range(60)]


def rows(n: int, seed: int) -> list[tuple[str, str]]:
    """Sentences whose labels are drawn at random: they can be learned by heart alone."""
    rng = random.Random(seed)
    return [(" ".join(rng.sample(WORDS, 5)), rng.choice(INTENTS)) for _ in range(n)]


MEMBERS, OTHERS, THIRD = (rows(80, seed) for seed in range(3))


@pytest.fixture(scope="module")
def memorised() -> Classifier:
    spec = TargetSpec("cnn", embedding_dim=16, hidden_size=16)
    classifier = build(spec, texts=[" ".join(WORDS)], intents=INTENTS, seed=0)
    _, config = resolve(Condition(size="small", epochs=12), device="cpu")
    train(classifier, (MEMBERS, (), ()), config, progress=False)
    return classifier


def infer(classifier, members=MEMBERS, others=OTHERS, **options):
    return infer_members(classifier, members, others, device="cpu", **options)


def test_what_was_learned_by_heart_is_told(memorised):
    alone = infer(memorised)
    assert [*alone.rates] == ["loss"]
    assert alone.rates["loss"]["auc"] > 0.9
    judged = infer(memorised, references=4, epochs=4)
    assert [*judged.rates] == ["loss", "lira-offline", "rmia-offline"]
    assert judged.attack == "lira-offline"
    for rates in judged.rates.values():
        assert rates["auc_lower"] < rates["auc"] < rates["auc_upper"]
        assert rates["p_value"] < 1e-6
    assert (judged.members, judged.nonmembers, judged.references) == (80, 80, 4)
    assert infer(memorised, references=4, epochs=4) == judged


def test_of_sentences_that_no_one_saw_none_is_told(memorised):
    """References hold half of one side: both sides are judged by as many all the same."""
    found = infer(memorised, THIRD, OTHERS, references=6, epochs=4)
    for rates in found.rates.values():
        assert rates["auc_lower"] < 0.5 < rates["auc_upper"]
        assert rates["p_value"] > 0.01


def test_labels_that_differ_between_the_files_are_said(memorised):
    biased = [(text, "play" if n % 8 else "book") for n, (text, _) in enumerate(OTHERS)]
    assert any(
        "labels of the two files differ" in note for note in infer(memorised, others=biased).notes
    )
    assert not infer(memorised).notes


def test_sentences_in_both_files_are_left_out(memorised):
    found = infer(memorised, MEMBERS, [*OTHERS, (MEMBERS[0][0].upper(), "play")])
    assert found.members == 79
    assert "1 sentence in both files, left out of both." in found.notes


@pytest.mark.parametrize(
    ("members", "others", "named"),
    [
        (MEMBERS, MEMBERS[::-1], "are the same sentences: non-members must be"),
        (MEMBERS, MEMBERS[:30], "are one part of the other"),
        (MEMBERS[:9], OTHERS, "9 sentences of members alone: give 10 or more"),
        ([(text, "play") for text, _ in MEMBERS], OTHERS, "all 80 members have the label"),
        (MEMBERS, [(text, "2") for text, _ in OTHERS], "all 80 non-members have the label"),
        ([*MEMBERS, ("hello", "greet")], OTHERS, r"1 label of the members: .greet.; it has"),
    ],
)
def test_what_could_not_be_told_is_refused(memorised, members, others, named):
    with pytest.raises(ModivaError, match=named):
        infer(memorised, members, others)


def test_a_checkpoint_of_several_labels_is_refused(memorised):
    memorised.model.config.problem_type = "multi_label_classification"
    try:
        with pytest.raises(ModivaError, match="several labels"):
            infer(memorised)
    finally:
        memorised.model.config.problem_type = None


def test_other_architectures_start_from_their_configuration_and_it_is_said(memorised):
    config = BertConfig(
        vocab_size=len(memorised.tokenizer), hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=32,
        id2label=dict(enumerate(INTENTS)), label2id={name: n for n, name in enumerate(INTENTS)},
    )  # fmt: skip
    bert = Classifier(BertForSequenceClassification(config).eval(), memorised.tokenizer)
    found = infer(bert, references=2, epochs=1)
    assert any("random weights" in note for note in found.notes)


def test_the_command_prints_a_table_or_json(memorised, tmp_path, capsys):
    save(memorised, tmp_path / "model")
    for name, own in (("train", MEMBERS), ("test", OTHERS)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *own])
    command = ["membership", str(tmp_path / "model"), "--members", str(tmp_path / "train.csv")]
    command += ["--nonmembers", str(tmp_path / "test.csv"), "--device", "cpu"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "loss alone" in said
    assert "tells 80 members and 80 non-members apart" in said
    assert "--references 8" in said
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rates"]["loss"]["auc"] > 0.9
    assert main([*command, "--references", "-1"]) == 2
    assert main([*command[:-2], "--members", str(tmp_path / "test.csv")]) == 2
    assert "are the same sentences" in capsys.readouterr().err
