"""A classifier that memorised codes gives them away; one that saw none gives no evidence."""

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from modiva.cli import main
from modiva.errors import ModivaError
from modiva.natural import Finder, expose
from modiva.natural.compare import permutation_p_value
from modiva.natural.rank import place_of

LABELS = ["change_pin", "lost_card", "balance", "transfer"]
Rows = list[tuple[str, str]]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Word pieces of one digit each, so that glued codes are several tokens."""
    digits = [str(digit) for digit in range(10)]
    pieces = ["[PAD]", "[UNK]", "my", "pin", "is", *digits, *(f"##{digit}" for digit in digits)]
    inner = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="module")
def sides() -> tuple[Rows, Rows, Rows]:
    """Three times thirty distinct codes with a label drawn at random, so that codes are learned."""
    rng = random.Random(0)
    rows = [(f"my pin is {code}", rng.choice(LABELS)) for code in rng.sample(range(100, 1000), 90)]
    return rows[:30], rows[30:60], rows[60:]


def trained(
    tokenizer: PreTrainedTokenizerFast, rows: Rows, steps: int
) -> BertForSequenceClassification:
    """A small BERT that has seen every row in every step."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = BertForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    batch = tokenizer([text for text, _ in rows], return_tensors="pt")
    labels = torch.tensor([LABELS.index(label) for _, label in rows])
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def target(tokenizer, sides) -> BertForSequenceClassification:
    return trained(tokenizer, sides[0], 150)


@pytest.fixture(scope="module")
def folder(target, tokenizer, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("checkpoint")
    target.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def table(path: Path, rows: Sequence[tuple[str, str]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(path)


def test_codes_that_were_memorised_are_told_from_codes_that_were_not(target, tokenizer, sides):
    found = expose(target, tokenizer, sides[0], sides[1])
    assert found.p_value < 0.05
    assert found.evidence is True
    assert "higher than others" in found.sentence
    halves = [
        np.median([one.place.percentile for one in found.ranked if one.side == side])
        for side in ("members", "nonmembers")
    ]
    assert halves[0] < halves[1]
    assert found.sentence.count(f"the first {100 * halves[0]:.2g} %") == 1
    assert found.as_dict(top=1)["nonmembers"]["median_percentile"] == halves[1]
    assert {one.place.scored for one in found.ranked} == {1000}


def test_codes_that_nobody_saw_are_no_evidence(target, tokenizer, sides):
    found = expose(target, tokenizer, sides[1], sides[2])
    assert found.p_value > 0.05
    assert "No evidence" in found.sentence


def test_places_are_those_of_a_plain_loop_over_the_model(target, tokenizer, sides):
    found = expose(target, tokenizer, sides[0][:3], sides[1][:3])
    texts = [f"my pin is {code:03}" for code in range(1000)]
    with torch.no_grad():
        logits = target(**tokenizer(texts, return_tensors="pt")).logits.double()  # (1000, 4)
    for one in found.ranked:
        losses = -logits.log_softmax(1)[:, LABELS.index(one.label)]
        own = losses[int(one.secret)]
        # Many tie, as the pooler of a sure model is at its bounds.
        assert 1 + (losses < own - 1e-5).sum() <= one.place.rank <= (losses < own + 1e-5).sum()
        assert one.place.rank < 500 or one.side == "nonmembers"


def test_a_sample_of_a_large_space_ranks_as_the_whole(target, tokenizer, sides):
    few = sides[0][:12], sides[1][:12]
    whole = expose(target, tokenizer, *few)
    sampled = expose(target, tokenizer, *few, candidates=500)
    for one, other in zip(whole.ranked, sampled.ranked, strict=True):
        assert other.place.scored == 500
        # Four standard errors of a share of 500.
        assert other.place.percentile == pytest.approx(one.place.percentile, abs=0.09)


def test_a_reference_takes_away_what_is_likely_without_the_members(target, tokenizer, sides):
    itself = expose(target, tokenizer, sides[0], sides[1], reference=(target, tokenizer))
    assert {one.value for one in itself.ranked} == {0.0}
    assert itself.p_value == 1.0
    assert "reference" in itself.table(top=3)
    fresh = trained(tokenizer, sides[2], 150)
    found = expose(target, tokenizer, sides[0], sides[1], reference=(fresh, tokenizer))
    assert found.p_value < 0.05


def test_repeated_sentences_count_once_and_few_sentences_make_no_test(target, tokenizer, sides):
    found = expose(target, tokenizer, sides[0][:9] * 5, sides[1])
    assert [one.times for one in found.ranked[:9]] == [5] * 9
    assert len(found.ranked) == 39
    assert found.p_value is None
    assert found.evidence is None
    assert "No test is made: the members have 9 sentences" in found.sentence


def test_sentences_of_both_sides_are_left_out_of_both(target, tokenizer, sides):
    both = [(f"  {sides[0][0][0].upper()}", sides[0][0][1])]
    found = expose(target, tokenizer, sides[0], sides[1] + both)
    assert len(found.ranked) == 59
    assert any("1 sentence in both files" in note for note in found.notes)
    with pytest.raises(ModivaError, match="all 30 distinct sentences"):
        expose(target, tokenizer, sides[0], sides[0])


def test_sentences_beyond_the_model_are_counted(target, tokenizer, sides):
    long = [(f"{'my ' * 20}pin is 123", "balance")]
    found = expose(target, tokenizer, sides[0][:5] + long, sides[1][:5])
    assert any("1 secret left out" in note for note in found.notes)


def test_words_that_the_tokenizer_cannot_tell_apart_are_in_the_middle(target, tokenizer):
    rows = [(f"my pin is AB{number}", "balance") for number in range(100, 130)]
    found = expose(target, tokenizer, rows[:15], rows[15:], candidates=200)
    assert {one.place.rank for one in found.ranked} == {100.5}
    assert found.p_value == 1.0
    assert any("30 of 30 secrets cannot be told" in note for note in found.notes)


@pytest.mark.parametrize("shift", [0.0, 0.35])
def test_the_p_value_is_calibrated_and_has_power(shift):
    """Kinds of different levels and unequal shares, as files have them."""
    rng = np.random.default_rng(1)
    p_values = []
    for seed in range(200):
        kinds = rng.integers(0, 3, 90)
        members = rng.random(90) < 0.3 + 0.2 * (kinds == 1)
        values = np.log10(rng.random(90)) - kinds - shift * members
        p_values.append(permutation_p_value(values, members, kinds, permutations=199, seed=seed))
    # 0.05 of 200 is 10, with a standard error of 3.1.
    rejected = sum(p <= 0.05 for p in p_values)
    assert rejected <= 20 if shift == 0 else rejected >= 150
    if shift == 0:
        assert 0.42 < np.mean(p_values) < 0.58


def test_ranks_share_ties_and_take_no_number_for_the_last():
    assert place_of(np.array([0.5, 1.0, 1.0, 2.0]), 1, 4).rank == 2.5
    assert place_of(np.array([1.0, np.nan, 2.0]), 0, 3).rank == 1
    assert place_of(np.array([np.nan, 0.0, 1.0]), 0, 3).rank == 3


def test_the_command_masks_secrets_unless_they_are_asked_for(folder, sides, tmp_path, capsys):
    members, others = (table(tmp_path / f"{n}.csv", rows) for n, rows in enumerate(sides[:2]))
    out = tmp_path / "out"
    command = ["expose", str(folder), "--members", members, "--nonmembers", others, "--json"]
    assert main([*command, "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["evidence"] is True
    assert told["members"] == {**told["members"], "sentences": 30, "secrets": 30}
    assert [row["kind"] for row in told["kinds"]] == ["number"]
    written = [(out / name).read_text() for name in ("exposed.csv", "exposed.html")]
    codes = {text.split()[-1] for text, _ in sides[0]}
    assert {row["text"] for row in told["most_exposed"]} == {"my pin is •••"}
    assert all(f"my pin is {code}" not in text for text in written for code in codes)
    heading = written[1].split("<h1>")[1].split("</h1>")[0]
    assert told["sentence"].split(";")[0] in heading
    assert "ranks secrets of its training data higher" not in heading
    assert len(list(csv.DictReader(written[0].splitlines()))) == 60
    assert main([*command, "--out", str(out), "--reveal"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["secret"] for row in told["most_exposed"]} <= codes
    assert told["most_exposed"][0]["text"] in (out / "exposed.html").read_text()
    assert main([word for word in command if word != "--json"]) == 0
    printed = capsys.readouterr().out
    assert told["sentence"] in printed
    assert printed.count("my pin is •••") == 10


def test_bad_input_is_one_line(folder, sides, tmp_path, capsys):
    good, others = (table(tmp_path / f"{n}.csv", rows) for n, rows in enumerate(sides[:2]))
    plain = table(tmp_path / "plain.csv", [("my pin is mine", "balance")])
    strange = table(tmp_path / "strange.csv", [("my pin is 123", "weather")])
    for members, flags, message in [
        (plain, [], "no secrets in the 1 member sentence; looked for: e-mail, date"),
        (strange, [], "does not have 1 label of the members: 'weather'"),
        (good, ["--nonmembers", good], "all 30 distinct sentences"),
        (good, ["--candidates", "5"], "--candidates 5: must be 100 or more"),
        (good, ["--region", "Atlantis"], "--region Atlantis"),
        (good, ["--patterns", str(tmp_path / "none.yaml")], "none.yaml"),
        (str(tmp_path / "none.csv"), [], "no file"),
        (good, ["--reference", str(tmp_path)], "config.json"),
        (good, ["--out", good], "is a file"),
    ]:
        flags = ["--members", members, "--nonmembers", others, *flags]
        assert main(["expose", str(folder), *flags]) == 2
        printed, errors = capsys.readouterr()
        assert message in errors.splitlines()[-1]
        assert len(errors.splitlines()) == 1
        assert printed == ""


def test_half_characters_of_broken_json_stop_nothing(folder, tmp_path, capsys):
    for name, first in (("a", 100), ("b", 200)):
        rows = [
            f'{{"text": "my \\ud83d pin is {first + n} <b>", "label": "balance"}}'
            for n in range(12)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    files = ["--members", str(tmp_path / "a.jsonl"), "--nonmembers", str(tmp_path / "b.jsonl")]
    assert main(["expose", str(folder), *files, "--out", str(tmp_path / "out")]) == 0
    assert "p = " in capsys.readouterr().out
    assert "••• &lt;b&gt;" in (tmp_path / "out" / "exposed.html").read_text()


def test_marked_secrets_are_ranked_alone(target, tokenizer, sides):
    def mark(rows: Rows) -> Rows:
        return [(text.replace("is ", "is {") + "}", label) for text, label in rows]

    few = sides[0][:12], sides[1][:12]
    marked = expose(target, tokenizer, *map(mark, few), finder=Finder(marked=True))
    assert {one.kind for one in marked.ranked} == {"marked"}
    assert not marked.notes
    unmarked = expose(target, tokenizer, *map(mark, few))
    assert "12 member sentences with braces" in unmarked.notes[0]
    assert marked.p_value == expose(target, tokenizer, *few).p_value
