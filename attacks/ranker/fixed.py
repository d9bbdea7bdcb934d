"""Scores that need no shadow models: rankers whose weights are set by hand, HIGHER IS LIKELIER.

Each is one kind of evidence by itself, for comparison with the loss and with the learned ranker.
"""

from collections.abc import Mapping
from types import MappingProxyType

from attacks.errors import AttackError
from attacks.ranker.ranker import Ranker

# Name: weights of standardised features. The attacker knows the weights, the words around the
# secret, what each slot may hold, and the label; what it needs beyond is said where it does.
FIXED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # The margin against its mean over candidates with one slot changed.
        "contrast": {"contrast": 1.0},
        # Margin and contrast, both standardised: what the loss says, less what the words say alone.
        "standardised": {"margin": 1.0, "contrast": 1.0},
        # Cosine of the margin's gradient at a slot and the vector of the word in it.
        "alignment": {"cosine": 1.0},
        # Norms of the rows of the embedding table: rows that training met are longer.
        "rows": {"row_present": 1.0},
        # Needs the initial weights: how far the rows of the words have moved.
        "movement": {"moved_present": 1.0},
        # Needs the initial weights: what moved rows and the margin gained say together.
        "movement-gain": {"moved_present": 1.0, "gain": 0.2},
    }
)
_NEED_INITIAL = ("moved", "gain")


def fixed_ranker(name: str) -> Ranker:
    """The ranker of that name.

    Raises:
        AttackError: the name is unknown; the message lists the known ones.
    """
    if name not in FIXED:
        raise AttackError(f"unknown score {name!r}: use one of {', '.join(FIXED)}")
    weights = FIXED[name]
    needs = any(feature.startswith(_NEED_INITIAL) for feature in weights)
    return Ranker(weights, facts={"score": name}, initial=needs)
