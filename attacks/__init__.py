"""White-box extraction attacks on any Hugging Face sequence classifier."""

from attacks.attack import Attack, Reconstruction
from attacks.errors import AttackError
from attacks.objectives import OBJECTIVES, Objective, get_objective
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.ranker import RANKED, Ranker, Shadow, fit_ranker
from attacks.registry import ATTACKS, get_attack
from attacks.scoring import score_choices, score_space
from attacks.tokenise import build_completion
from attacks.vectors import input_vectors

__all__ = [
    "ATTACKS",
    "OBJECTIVES",
    "RANKED",
    "Attack",
    "AttackError",
    "Completion",
    "Objective",
    "Oracle",
    "Ranker",
    "Reconstruction",
    "Shadow",
    "build_completion",
    "fit_ranker",
    "get_attack",
    "get_objective",
    "input_vectors",
    "score_choices",
    "score_space",
]
