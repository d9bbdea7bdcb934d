"""What is planted: secret spaces, patterns, planting and the ledger of what was planted."""

from canaries.ledger import Canary, Ledger
from canaries.patterns import CATALOG, Pattern, get_pattern, load_patterns, parse_slots
from canaries.planting import Planted, Planting, candidate_words, plant
from canaries.questions import Question, load_questions, save_questions
from canaries.spaces import SPACES, CanaryError, SecretSpace, get_space

__all__ = [
    "CATALOG",
    "SPACES",
    "Canary",
    "CanaryError",
    "Ledger",
    "Pattern",
    "Planted",
    "Planting",
    "Question",
    "SecretSpace",
    "candidate_words",
    "get_pattern",
    "get_space",
    "load_patterns",
    "load_questions",
    "parse_slots",
    "plant",
    "save_questions",
]
