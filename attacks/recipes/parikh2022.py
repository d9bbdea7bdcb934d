"""Canary extraction in NLU models: softmax relaxation of the unknown tokens.

Parikh, Dupuy and Gupta, ACL 2022, https://arxiv.org/abs/2203.13920. Reports a four-digit code
extracted with probability 0.5 in its best configuration. The optimiser's settings are those of a
public replication; how the logits start is our choice: from the uniform mixture.
"""

from attacks.attack import SearchAttack
from attacks.objectives import OBJECTIVES
from attacks.search.relaxed import Relaxed

PARIKH2022 = SearchAttack(
    name="parikh2022",
    objective=OBJECTIVES["loss"],
    search=Relaxed(
        restarts=1,
        max_steps=1000,
        learning_rate=0.02,
        temperature=1.0,
        final_temperature=1.0,
        init_std=0.0,
        patience=100,
        readout=1,
    ),
    source="Parikh, Dupuy, Gupta: Canary Extraction in Natural Language Understanding Models, "
    "ACL 2022, arXiv:2203.13920",
)
