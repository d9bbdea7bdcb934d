"""What a ranker sees, against the definitions."""

from itertools import product

import pytest
import torch

from attacks.problem import Completion
from attacks.ranker.candidates import Describer, slot_groups
from attacks.ranker.evidence import (
    occurrences,
    option_features,
    slot_gradients,
    slot_vectors,
    standardise,
)
from attacks.ranker.margins import Margins, flat_index, margin_oracle
from attacks.ranker.movement import interpolate
from attacks.scoring import score_choices
from attacks.tokenise import build_completion
from canaries.patterns import parse_slots
from canaries.spaces import SecretSpace


def code(tokenizer, model, slots="digit*3", label="music") -> Completion:
    return build_completion(
        tokenizer, model, prefix="my pin is", slots=parse_slots(slots), label=label
    )


@pytest.mark.parametrize("whole", [True, False])
def test_margins_of_neighbours_and_swaps_are_those_of_the_changed_sentences(tokenizer, bert, whole):
    problem = code(tokenizer, bert)
    at = torch.tensor([[1, 2, 3], [4, 4, 0]])

    def expected(rows):
        secrets = [problem.secret(row) for row in rows]
        return -torch.tensor(score_choices(bert, problem, "margin", secrets))

    with margin_oracle(bert, problem) as oracle:
        generator = torch.Generator().manual_seed(0)
        margins = Margins(oracle, generator, enumerated=1_000 if whole else 10)
        assert margins.whole is whole
        assert torch.allclose(margins(at), expected(at.tolist()), atol=1e-5)
        around = margins.neighbours(at)  # (2, 3, 9)
        assert around.shape == (2, 3, 9)
        others = [[d, 2, 3] for d in range(10) if d != 1]
        assert torch.allclose(around[0, 0].sort().values, expected(others).sort().values, atol=1e-5)
        swapped = margins.swaps(at)  # pairs (0, 1), (0, 2), (1, 2)
        assert torch.allclose(swapped[0], expected([[2, 1, 3], [3, 2, 1], [1, 3, 2]]), atol=1e-5)


def test_effects_are_the_main_effects_of_the_whole_space(tokenizer, bert):
    problem = code(tokenizer, bert, "digit*2")
    with margin_oracle(bert, problem) as oracle:
        margins = Margins(oracle, torch.Generator())
        grid = margins(torch.tensor(list(product(range(10), repeat=2)))).view(10, 10)
        effects = margins.effects()
    assert torch.allclose(effects[0], grid.mean(1) - grid.mean(), atol=1e-5)
    assert torch.allclose(effects[1], grid.mean(0) - grid.mean(), atol=1e-5)


def test_slots_of_other_words_are_never_exchanged(tokenizer, bert):
    slots = (*parse_slots("digit"), SecretSpace("shade", ("red", "blue", "green")))
    problem = build_completion(tokenizer, bert, prefix="my pin is", slots=slots, label="music")
    with margin_oracle(bert, problem) as oracle:
        describer = Describer(oracle, torch.Generator().manual_seed(0))
        found = describer.look(describer.pool())
    assert (found.column("swap") == 0).all()
    assert not slot_groups(problem)[0, 1]
    assert len(found.choices) == problem.size


def test_gradients_are_those_of_the_margin(tokenizer, bert):
    """Against central differences along the vector of each slot."""
    problem = code(tokenizer, bert)
    at = torch.tensor([[1, 2, 3]])
    with margin_oracle(bert.double(), problem) as oracle:
        gradients = slot_gradients(oracle, at)
        vectors = slot_vectors(oracle)
        tokens = oracle.layout.fill(torch.zeros(1, dtype=torch.long), at)[:, :-1]
        where = oracle.layout.positions[0].flatten()
        for slot in range(3):
            direction = vectors[slot][0].double()
            values = []
            for step in (1e-3, -1e-3):
                moved = oracle.vectors[tokens].clone()
                moved[0, where[slot]] += step * direction
                logits = bert(inputs_embeds=moved).logits
                values.append(-oracle.objective.score(logits, oracle.layout.labels[:1]))
            slope = float((values[0] - values[1]) / 2e-3)
            product_ = float(gradients.gradient[0, slot].double() @ direction)
            assert product_ == pytest.approx(slope, rel=1e-2, abs=1e-5)
    bert.float()


def test_a_word_that_stands_twice_counts_once_as_present():
    groups = torch.ones(3, 3, dtype=torch.bool)
    choices = torch.tensor([[0, 0, 1], [0, 1, 2]])
    evidence = [torch.tensor([1.0, 10.0, 100.0])] * 3
    found = option_features(evidence, choices, groups, tag="row")
    assert found["row_present"].tolist() == [11.0, 111.0]
    assert found["row_repeated"].tolist() == [2.0, 0.0]
    assert occurrences(choices, groups).tolist() == [[2, 2, 1], [1, 1, 1]]


def test_features_do_not_depend_on_the_scale_of_the_logits(tokenizer, bert):
    """A model that is twice as sure ranks by the same features, but where the label saturates."""
    values = {"a": torch.tensor([1.0, 2.0, 4.0]), "b": torch.zeros(3)}
    matrix, names = standardise(values)
    doubled, _ = standardise({name: 7 * value for name, value in values.items()})
    assert names == ("a", "b")
    assert torch.allclose(matrix, doubled)
    assert (matrix[:, 1] == 0).all()


def test_interpolation_ends_at_both_models(make_bert, tokenizer):
    first, last = make_bert(tokenizer, 1), make_bert(tokenizer, 2)
    for share, end in ((0.0, first), (1.0, last)):
        between = interpolate(first, last, share).state_dict()
        for name, value in end.state_dict().items():
            assert torch.allclose(between[name], value, atol=1e-6)


def test_flat_index_has_the_last_slot_fastest():
    every = torch.tensor(list(product(range(3), range(4))))
    assert flat_index(every, (3, 4)).tolist() == list(range(12))
