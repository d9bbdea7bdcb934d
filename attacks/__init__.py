"""White-box extraction attacks on any Hugging Face sequence classifier."""

from attacks.attack import Attack, Knowledge, Reconstruction, Scored
from attacks.errors import AttackError
from attacks.objectives import OBJECTIVES, Objective, get_objective
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.ranker import Ranker, Shadow, fit_ranker
from attacks.registry import ATTACKS, audited_attack, get_attack
from attacks.scoring import score_choices, score_space
from attacks.tokenise import build_completion
from attacks.vectors import input_vectors

__all__ = [
    "ATTACKS",
    "OBJECTIVES",
    "Attack",
    "AttackError",
    "Completion",
    "Knowledge",
    "Objective",
    "Oracle",
    "Ranker",
    "Reconstruction",
    "Scored",
    "Shadow",
    "audited_attack",
    "build_completion",
    "fit_ranker",
    "get_attack",
    "get_objective",
    "input_vectors",
    "score_choices",
    "score_space",
]
