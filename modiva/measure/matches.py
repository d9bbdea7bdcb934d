"""How close one reconstruction came to one secret, slot by slot."""

from collections import Counter
from collections.abc import Sequence

from canaries import Canary
from canaries.spelling import split_words


def position_hits(reconstruction: Sequence[str], secret: Sequence[str]) -> tuple[bool, ...]:
    """Return for every slot whether the reconstructed word is the secret's.

    Raises ValueError when the two differ in length: they then fill different patterns.
    """
    return tuple(ours == theirs for ours, theirs in zip(reconstruction, secret, strict=True))


def exact_match(reconstruction: Sequence[str], secret: Sequence[str]) -> bool:
    """Return whether every slot is right: the reconstruction accuracy of Parikh et al. (2022)."""
    return all(position_hits(reconstruction, secret))


def hamming(reconstruction: Sequence[str], secret: Sequence[str]) -> int:
    """Return the number of wrong slots, from 0 to the length (a count: not divided by it)."""
    return position_hits(reconstruction, secret).count(False)


def multiset_match(reconstruction: Sequence[str], secret: Sequence[str]) -> bool:
    """Return whether the right words were found the right number of times, in whatever order."""
    return Counter(reconstruction) == Counter(secret)


def top_k(candidates: Sequence[Sequence[str]], secret: Sequence[str], k: int) -> bool:
    """Return whether the secret is among the first `k` candidates, which are ranked best first."""
    return tuple(secret) in (tuple(candidate) for candidate in candidates[:k])


def copies_intact(canary: Canary, secret: Sequence[str]) -> float | None:
    """Return the share of a canary's rewritten copies in which every word of `secret` stands.

    None where no text protection rewrote it, or where it has no copies.
    """
    if not canary.rewritten:
        return None
    form = canary.form
    slots = [any(not isinstance(part, str) for part in word) for word in split_words(form.parts)]
    wanted = [(place, word) for place, word in enumerate(form.fill(secret).split()) if slots[place]]
    outputs = [copy.split() for copy in canary.rewritten]
    held = [
        len(output) == len(slots) and all(output[place] == word for place, word in wanted)
        for output in outputs
    ]
    return sum(held) / len(held)
