"""What is planted: secret spaces, patterns, planting and the ledger of what was planted."""

from canaries.ledger import Canary, Ledger
from canaries.patterns import Pattern, get_pattern, load_patterns
from canaries.planting import Planting, plant
from canaries.spaces import CanaryError, SecretSpace

__all__ = [
    "Canary",
    "CanaryError",
    "Ledger",
    "Pattern",
    "Planting",
    "SecretSpace",
    "get_pattern",
    "load_patterns",
    "plant",
]
