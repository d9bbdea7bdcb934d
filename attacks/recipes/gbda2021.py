"""Gradient-based adversarial attacks on text, turned to extraction: Gumbel-softmax and a margin.

Guo, Sablayrolles, Jégou and Kiela, EMNLP 2021, https://arxiv.org/abs/2104.13733. Their margin
loss, kappa 5, Adam with learning rate 0.3, 100 steps of 10 samples at temperature 1, then 100 hard
samples; their fluency and similarity terms have no counterpart for a secret.
"""

from attacks.attack import SearchAttack
from attacks.objectives import hinge
from attacks.search.gumbel import Gumbel

GBDA2021 = SearchAttack(
    name="gbda2021",
    objective=hinge(5.0),
    search=Gumbel(
        restarts=1,
        steps=100,
        samples=10,
        learning_rate=0.3,
        temperature=1.0,
        final_temperature=1.0,
        init_std=0.0,
        final_samples=100,
    ),
    source="Guo, Sablayrolles, Jégou, Kiela: Gradient-based Adversarial Attacks against Text "
    "Transformers, EMNLP 2021, arXiv:2104.13733",
)
