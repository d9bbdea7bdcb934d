"""The shadow-trained ranker: candidates ordered by all that the weights say of them."""

from attacks.ranker.attack import RANKED_ATTACKS
from attacks.ranker.fit import Shadow, fit_ranker
from attacks.ranker.ranker import Ranker

__all__ = ["RANKED_ATTACKS", "Ranker", "Shadow", "fit_ranker"]
