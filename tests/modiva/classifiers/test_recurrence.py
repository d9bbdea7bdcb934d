"""Our LSTM over time steps is PyTorch's LSTM over packed sequences, with the gates exposed."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from modiva.classifiers import LstmRecurrence


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 999),
)
def test_states_and_gradients_are_those_of_a_packed_bidirectional_lstm(lengths, sizes, seed):
    torch.manual_seed(seed)
    width, hidden, longest = *sizes, max(lengths)
    reference = nn.LSTM(width, hidden, bidirectional=True, batch_first=True).double()
    x = torch.randn(len(lengths), longest, width, dtype=torch.double, requires_grad=True)
    mask = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], True)

    weights = dict(reference.named_parameters())
    recurrence = LstmRecurrence(hidden)
    states = []
    for suffix in ("", "_reverse"):
        bias = weights[f"bias_ih_l0{suffix}"] + weights[f"bias_hh_l0{suffix}"]
        projected = x @ weights[f"weight_ih_l0{suffix}"].t() + bias
        weight = {"weight": weights[f"weight_hh_l0{suffix}"]}
        states.append(functional_call(recurrence, weight, (projected, mask, bool(suffix))))
    actual = torch.cat(states, -1) * mask.unsqueeze(-1)
    torch.testing.assert_close(actual, expected)

    pull = torch.randn_like(expected)
    wanted = [x, weights["weight_hh_l0"], weights["weight_hh_l0_reverse"]]
    for ours, theirs in zip(
        torch.autograd.grad((actual * pull).sum(), wanted),
        torch.autograd.grad((expected * pull).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_masked_step_carries_the_state_on():
    recurrence = LstmRecurrence(3)
    x_proj, mask = torch.randn(1, 5, 12), torch.tensor([[True, True, False, False, True]])
    states = recurrence(x_proj, mask, False)[0]
    assert torch.equal(states[1], states[2])
    assert torch.equal(states[1], states[3])
    short = recurrence(x_proj[:, mask[0]], None, False)[0]
    torch.testing.assert_close(states[4], short[2])


def test_the_weight_gradient_follows_from_the_states_and_the_gradient_of_the_input():
    # The rule of exact clipping: the gradient of x_proj is the gradient of the gates.
    recurrence = LstmRecurrence(3).double()
    x_proj = torch.randn(2, 4, 12, dtype=torch.double, requires_grad=True)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    for reverse in (False, True):
        states = recurrence(x_proj, mask, reverse)
        loss = (states * torch.randn_like(states)).sum()
        gates, weight = torch.autograd.grad(loss, [x_proj, recurrence.weight])
        start = torch.zeros_like(states[:, :1])
        parts = (states[:, 1:], start) if reverse else (start, states[:, :-1])
        torch.testing.assert_close(weight, torch.einsum("btg,bth->gh", gates, torch.cat(parts, 1)))
