"""What is planted: secret spaces, patterns, planting and the ledger of what was planted."""

from canaries.ledger import Canary, Ledger
from canaries.patterns import Pattern, get_pattern, load_patterns
from canaries.planting import Planted, Planting, candidate_words, plant
from canaries.questions import load_questions, save_questions
from canaries.spaces import CanaryError, SecretSpace

__all__ = [
    "Canary",
    "CanaryError",
    "Ledger",
    "Pattern",
    "Planted",
    "Planting",
    "SecretSpace",
    "candidate_words",
    "get_pattern",
    "load_patterns",
    "load_questions",
    "plant",
    "save_questions",
]
