"""Uniform draws without replacement from spaces of any size: numpy's stop at 64 bits."""

import hashlib
from collections.abc import Collection

import numpy as np


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """Return the generator of one purpose, independent of those of all others."""
    digest = hashlib.sha256("\0".join(purpose).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=words)))


def uniform_below(rng: np.random.Generator, bound: int) -> int:
    """Return an integer uniform on 0 .. bound - 1, exactly, for any `bound` >= 1.

    Bits beyond those that `bound - 1` needs are dropped and values that are too large drawn
    again: a remainder would favour small values.
    """
    bits = (bound - 1).bit_length()
    length = (bits + 7) // 8
    while True:
        value = int.from_bytes(rng.bytes(length), "little") >> (8 * length - bits)
        if value < bound:
            return value


def draw_distinct(
    rng: np.random.Generator, bound: int, n: int, exclude: Collection[int] = ()
) -> list[int]:
    """Return `n` distinct integers of 0 .. bound - 1, none of `exclude`, in random order.

    This is a Fisher-Yates shuffle that remembers only the places that it touched, so that the
    work is O(n) for any `bound`, and the first k of n drawn are what drawing k gives.

    Raises:
        ValueError: when fewer than `n` integers are left.
    """
    skipped = sorted(set(exclude))
    free = bound - len(skipped)
    if not 0 <= n <= free:
        raise ValueError(f"{n} distinct draws were asked of {free} values")
    moved: dict[int, int] = {}
    drawn = []
    for place in range(n):
        other = place + uniform_below(rng, free - place)
        drawn.append(moved.get(other, other))
        moved[other] = moved.pop(place, place)
    return [_nth_free(rank, skipped) for rank in drawn]


def _nth_free(rank: int, skipped: list[int]) -> int:
    """Return the integer of this rank among those that `skipped` (sorted) leaves over."""
    for value in skipped:
        if value > rank:
            break
        rank += 1
    return rank
