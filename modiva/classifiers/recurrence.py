"""The recurrent half of an LSTM without input projection, so that clipping can read the gates."""

import torch
from torch import nn


class LstmRecurrence(nn.Module):
    """Run an LSTM over inputs that are already projected to the gates.

    The only parameter is the recurrent matrix; the biases are those of the projection before it. So
    the gradient with respect to the input of this module is the gradient of the gates, from which
    and the states the exact per-example gradient of the weight follows.
    Source: Hochreiter and Schmidhuber 1997, forget gates of Gers et al. 2000; gates i, f, g, o.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.weight = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight as `nn.LSTM` does."""
        bound = self.hidden_size**-0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(
        self, x_proj: torch.Tensor, mask: torch.Tensor | None = None, reverse: bool = False
    ) -> torch.Tensor:
        """Give the states over time.

        Args:
            x_proj: (..., B, T, 4H), the projected inputs, biases included.
            mask: (..., B, T) bool; a masked step carries the state on unchanged. None is faster
                than a mask of ones.
            reverse: run from the last step to the first.

        Returns:
            (..., B, T, H): the state after each step, at that step's place.
        """
        # Plain operations: a hand-written gradient was measured and is no faster, alone or stacked.
        steps = x_proj.unbind(-2)  # T of (..., B, 4H)
        kept = None if mask is None else mask.unsqueeze(-1).unbind(-2)  # T of (..., B, 1)
        recurrent = self.weight.mT
        product = torch.addmm if recurrent.dim() == 2 else torch.baddbmm
        order = range(len(steps) - 1, -1, -1) if reverse else range(len(steps))
        size = self.hidden_size
        state = cell = x_proj.new_zeros(*x_proj.shape[:-2], size)
        states = [state] * len(steps)
        for count, t in enumerate(order):
            # The first state is zero, so its product is left out; but where there is no other step
            # the weight still takes part, so that its gradient is zero and not missing.
            first = count == 0 and len(steps) > 1
            gates = steps[t] if first else product(steps[t], state, recurrent)
            enter, forget, candidate, output = gates.split(size, dim=-1)
            new_cell = enter.sigmoid() * candidate.tanh()
            if count:
                new_cell = torch.addcmul(new_cell, forget.sigmoid(), cell)
            new_state = output.sigmoid() * new_cell.tanh()
            if kept is not None:
                new_cell = torch.where(kept[t], new_cell, cell)
                new_state = torch.where(kept[t], new_state, state)
            cell, state = new_cell, new_state
            states[t] = state
        return torch.stack(states, dim=-2)
