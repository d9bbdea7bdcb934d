"""Greedy coordinate gradient, turned from suffixes of language models to secrets of classifiers.

Zou, Wang, Carlini, Nasr, Kolter and Fredrikson, 2023, https://arxiv.org/abs/2307.15043: top 256
options of each slot by the one-hot gradient, 512 random swaps scored in each of at most 500 steps.
Here it ends earlier, once nothing better is found, since a secret's space is small.
"""

from attacks.attack import SearchAttack
from attacks.objectives import OBJECTIVES
from attacks.search.swaps import Swaps

GCG2023 = SearchAttack(
    name="gcg2023",
    objective=OBJECTIVES["loss"],
    search=Swaps(restarts=1, steps=500, top_k=256, batch_size=512, patience=20),
    source="Zou, Wang, Carlini, Nasr, Kolter, Fredrikson: Universal and Transferable Adversarial "
    "Attacks on Aligned Language Models, 2023, arXiv:2307.15043",
)
