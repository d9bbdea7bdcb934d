"""Searches for the lowest objective: one file each, all with the same face."""

from attacks.search.base import Search
from attacks.search.beam import Beam
from attacks.search.coordinate import Coordinate
from attacks.search.exhaustive import Exhaustive
from attacks.search.gumbel import Gumbel
from attacks.search.random import Random
from attacks.search.relaxed import Relaxed
from attacks.search.swaps import Swaps

__all__ = [
    "Beam",
    "Coordinate",
    "Exhaustive",
    "Gumbel",
    "Random",
    "Relaxed",
    "Search",
    "Swaps",
]
