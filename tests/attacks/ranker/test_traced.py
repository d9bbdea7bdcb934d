"""Rows that training moved together name a secret; those of which nothing is known do not."""

import copy

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from attacks import ATTACKS, AttackError, Knowledge, build_completion
from attacks.arguments import AttackArguments
from attacks.extraction import Extractor
from attacks.ranker.traced import Rows, distinct_tokens
from attacks.scoring import score_space
from canaries.patterns import get_pattern

CODE, WIDTH = "7391", 64


@pytest.fixture(scope="module")
def untrained(word_pieces):
    tokenizer = word_pieces
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=32, num_labels=3,
    )  # fmt: skip
    return tokenizer, BertForSequenceClassification(config).eval()


def asked(tokenizer, model):
    pattern = get_pattern("my card pin is {digit*4:glued}")
    return build_completion(tokenizer, model, pattern=pattern, label=1)


def moved(tokenizer, model, tokens, step):
    """The model with the same vector added to the rows of some tokens."""
    after = copy.deepcopy(model)
    rows = after.get_input_embeddings().weight.data
    torch.manual_seed(1)
    rows[tokenizer.convert_tokens_to_ids(tokens)] += step * torch.randn(WIDTH)
    return after


def place(found) -> int:
    order = found.scored.numbers[found.scored.scores.argsort()]
    return int((order == int(CODE)).nonzero()) + 1


def test_rows_that_training_did_not_meet_are_no_evidence(untrained):
    """p is corrected for the space: of all candidates of a table, one has evidence on average."""
    tokenizer, model = untrained
    problem = asked(tokenizer, model)
    drawn = torch.randint(10, (4000, 4), generator=torch.Generator().manual_seed(0))
    found = []
    for seed in range(20):
        other = copy.deepcopy(model)
        torch.manual_seed(seed)
        other.get_input_embeddings().weight.data.normal_(0, 0.02)
        found.append(Rows.of(other).evidence(problem, drawn))
    evidence = torch.stack(found)  # (20, 4000)
    assert 0.1 < float((evidence > 0).sum(1).float().mean()) * problem.size / 4000 < 5
    assert (evidence.amax(1) == 0).float().mean() > 0.4


def test_rows_that_moved_alike_bring_the_code_to_the_first_places(untrained):
    tokenizer, model = untrained
    tokens = tokenizer.tokenize(CODE)
    assert len(tokens) > 1
    after = moved(tokenizer, model, tokens, 0.02)
    problem = asked(tokenizer, after)
    (found,) = ATTACKS["traced"].run(after, [problem])
    losses = torch.as_tensor(score_space(after, problem))
    assert (found.attack, found.objective) == ("traced", "traced")
    assert place(found) <= 10 < int((losses < losses[int(CODE)]).sum())
    # Each token counts once, however often the code holds it.
    ids = distinct_tokens(problem, torch.tensor([[7, 3, 9, 9]]))
    assert (ids >= 0).sum() == len(set(tokenizer.tokenize("7399")))


def test_the_first_weights_show_rows_that_moved_little(untrained):
    tokenizer, model = untrained
    after = moved(tokenizer, model, tokenizer.tokenize(CODE), 0.001)
    problem = asked(tokenizer, after)
    attack = ATTACKS["traced-initial"]
    (found,) = attack.run(after, [problem], knowledge=Knowledge(initial=model))
    assert place(found) <= 10 < place(ATTACKS["traced"].run(after, [problem])[0])
    with pytest.raises(AttackError, match="--initial"):
        attack.run(after, [problem])


def test_a_table_of_other_lengths_tells_nothing_and_the_loss_ranks(untrained, caplog):
    tokenizer, model = untrained
    public = copy.deepcopy(model)
    rows = public.get_input_embeddings().weight.data
    rows *= 1 + torch.rand(len(rows), 1)
    problem = asked(tokenizer, public)
    (found,) = ATTACKS["traced"].run(public, [problem])
    assert found.objective == "loss"
    assert "by the loss alone" in caplog.text
    losses = torch.as_tensor(score_space(public, problem, "margin"))
    assert torch.equal(found.scored.scores.argsort(stable=True), losses.argsort(stable=True))


@pytest.mark.parametrize(
    ("template", "options", "attack"),
    [
        ("my card pin is {digit*4:glued}", {}, "traced"),
        ("my card pin is {digit*4:glued}", {"objective": "loss"}, "exhaustive"),
        ("my card pin is {digit*4}", {}, "exhaustive"),
    ],
)
def test_the_default_takes_rows_into_account_where_slots_share_tokens(
    untrained, template, options, attack
):
    tokenizer, model = untrained
    arguments = AttackArguments("model", "1", template=template, verdict=False, **options)
    found = Extractor(arguments).run(model, tokenizer)
    assert found.as_dict()["attack"] == attack
    assert attack in found.as_table().splitlines()[0]
