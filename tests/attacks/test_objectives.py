"""What the objectives are: cross-entropy without cancellation, margins, a clamped hinge."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attacks import AttackError
from attacks.objectives import get_objective, hinge, loss, margin


@given(
    logits=st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=6),
    label=st.integers(0, 1),
)
def test_loss_is_cross_entropy(logits, label):
    values = torch.tensor([logits], dtype=torch.float64)
    labels = torch.tensor([label])
    expected = torch.nn.functional.cross_entropy(values, labels)
    torch.testing.assert_close(loss(values, labels)[0], expected, rtol=1e-6, atol=1e-12)


def test_loss_still_ranks_candidates_of_a_model_that_is_certain():
    logits = torch.tensor([[60.0, 0.0, 0.0], [61.0, 0.0, 0.0]])
    labels = torch.tensor([0, 0])
    assert torch.nn.functional.cross_entropy(logits, labels, reduction="none").tolist() == [0, 0]
    surer, sure = loss(logits, labels)[1], loss(logits, labels)[0]
    assert 0 < surer < sure


def test_loss_and_margin_rank_alike():
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(200, dtype=torch.long)
    assert torch.equal(loss(logits, labels).argsort(), margin(logits, labels).argsort())


def test_the_hinge_stops_pulling_at_kappa_and_still_ranks_beyond_it():
    logits = torch.tensor([[9.0, 0.0], [8.0, 0.0], [1.0, 0.0]])
    labels = torch.zeros(3, dtype=torch.long)
    objective = hinge(5.0)
    assert objective.optimised(logits, labels).tolist() == [0.0, 0.0, 4.0]
    assert objective.score(logits, labels).tolist() == [-9.0, -8.0, -1.0]


def test_an_unknown_objective_is_refused_with_the_known_ones():
    with pytest.raises(AttackError, match="loss, margin, hinge"):
        get_objective("contrast")
