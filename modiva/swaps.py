"""Swap lists: words of one group and their counterparts in another.

Nothing here imports PyTorch.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from canaries.reading import read_yaml
from modiva.errors import ModivaError

# Common given names that are no English words: lists of a census hold "sunny", "queen" and "may".
NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "female names": (
            "mary", "patricia", "jennifer", "linda", "elizabeth", "susan", "jessica", "sarah",
            "karen", "lisa", "nancy", "sandra", "ashley", "emily", "michelle", "amanda", "melissa",
            "stephanie", "rebecca", "laura", "helen", "anna", "maria", "julia",
        ),
        "male names": (
            "james", "michael", "robert", "david", "richard", "joseph", "thomas", "charles",
            "daniel", "matthew", "anthony", "steven", "andrew", "kenneth", "kevin", "brian",
            "george", "timothy", "jason", "ryan", "jacob", "eric", "jonathan", "paul",
        ),
    }
)  # fmt: skip
# Each way the first counterpart counts: "her" becomes "his", "his" and "him" become "her".
WORDS = (
    ("she", "he"), ("her", "his"), ("her", "him"), ("hers", "his"), ("herself", "himself"),
    ("woman", "man"), ("women", "men"), ("girl", "boy"), ("girls", "boys"), ("lady", "gentleman"),
    ("mother", "father"), ("mom", "dad"), ("mum", "dad"), ("daughter", "son"),
    ("sister", "brother"), ("aunt", "uncle"), ("niece", "nephew"), ("wife", "husband"),
    ("girlfriend", "boyfriend"),
    ("grandmother", "grandfather"), ("grandma", "grandpa"), ("queen", "king"),
    ("actress", "actor"), ("mrs", "mr"),
)  # fmt: skip


@lru_cache(maxsize=8)
def load_swaps(file: str | None = None) -> Mapping[str, str]:
    """Return the counterpart of each word, both ways; by default of gendered words and names.

    Args:
        file: YAML, a list of pairs such as `- [she, he]`; of a word in several pairs the first
            counterpart counts.

    Raises:
        ModivaError: no such list, or a pair that is not two different words.
    """
    pairs: Any = [*WORDS, *zip(*NAMES.values(), strict=True)]
    if file is not None:
        pairs = read_yaml(Path(file))
        if not isinstance(pairs, list) or not pairs:
            raise ModivaError(f"{file}: give a list of pairs of words, such as - [she, he]")
    swaps: dict[str, str] = {}
    for pair in pairs:
        words = (
            [str(word).strip().lower() for word in pair] if isinstance(pair, list | tuple) else []
        )
        if len(words) != 2 or words[0] == words[1] or not all(map(_WORD.fullmatch, words)):
            raise ModivaError(f"{file}: {pair!r} is not a pair of different words, as [she, he] is")
        swaps.setdefault(words[0], words[1])
        swaps.setdefault(words[1], words[0])
    return MappingProxyType(swaps)


def reverse(text: str, swaps: Mapping[str, str]) -> str:
    """Return a normalised sentence with every word of a swap list replaced by its counterpart."""
    return " ".join(swaps.get(word, word) for word in text.split(" "))


_WORD = re.compile(r"\S+")
