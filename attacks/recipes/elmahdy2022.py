"""Data extraction from text classifiers: a beam over positions by the label's likelihood.

Elmahdy, Inan and Sim, "Privacy Leakage in Text Classification: A Data Extraction Approach",
PrivateNLP 2022, https://arxiv.org/abs/2206.04591. The sentence grows token by token; every
beginning is scored by the likelihood of the canary's label, the slots still open left out.
"""

from attacks.attack import SearchAttack
from attacks.objectives import OBJECTIVES
from attacks.search.beam import Beam

ELMAHDY2022 = SearchAttack(
    name="elmahdy2022",
    objective=OBJECTIVES["loss"],
    search=Beam(width=32, remaining="absent"),
    source="Elmahdy, Inan, Sim: Privacy Leakage in Text Classification: A Data Extraction "
    "Approach, PrivateNLP 2022, arXiv:2206.04591",
)
