"""The shadow-trained ranker: candidates ordered by all that the weights say of them."""

from attacks.ranker.attack import RANKED, RankedAttack
from attacks.ranker.candidates import Described
from attacks.ranker.fixed import FIXED, fixed_ranker
from attacks.ranker.ranker import Ranked, Ranker, rank
from attacks.ranker.shadows import Shadow, fit_ranker

__all__ = [
    "FIXED",
    "RANKED",
    "Described",
    "Ranked",
    "RankedAttack",
    "Ranker",
    "Shadow",
    "fit_ranker",
    "fixed_ranker",
    "rank",
]
