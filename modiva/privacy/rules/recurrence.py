"""The rule of our LSTM's recurrent matrix: a linear layer from the states before to the gates."""

import torch.nn.functional as F
from torch import Tensor

from modiva.classifiers import LstmRecurrence, stacked
from modiva.privacy.rules.linear import contribute_over_time
from modiva.privacy.rules.registry import Call, Contribution, Rule, register_rule


def _contribute(call: Call) -> Contribution:
    states: Tensor | None = call.output  # (B, T, H)
    assert states is not None
    dtype = call.trainable["weight"].dtype
    gates = call.gradient.to(dtype)  # (B, T, 4H)
    # The first step starts from zeros. Gates stay whole: the projection before has the same ones.
    if call.argument(2, "reverse", False):
        before = F.pad(states[:, 1:], (0, 0, 0, 1))
    else:
        before = F.pad(states[:, :-1], (0, 0, 1, 0))
    return contribute_over_time(call, before.to(dtype), gates)


for _layer in (LstmRecurrence, stacked.Recurrence):
    register_rule(_layer, Rule(_contribute, parameters=("weight",), watch="input"))
