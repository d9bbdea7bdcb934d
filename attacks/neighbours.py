"""Candidates beside a candidate: one slot changed, or the words of its slots in another order."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from attacks.pool import Choices

Order = tuple[int, ...]  # for each slot the slot whose word it takes


def changed(at: Choices, slot: int, option: int) -> Choices:
    """Set one slot of a candidate to an option."""
    return (*at[:slot], option, *at[slot + 1 :])


def changes(at: Choices, options: Sequence[Sequence[int]]) -> Iterator[Choices]:
    """Yield the candidates with one slot set to each of `options`, slot after slot."""
    for slot, tried in enumerate(options):
        for option in tried:
            yield changed(at, slot, option)


def reordered(at: Choices, order: Order) -> Choices:
    """Put the words of the first slots of a candidate into an order."""
    return (*(at[slot] for slot in order), *at[len(order) :])


def exchanges(options: Sequence[Sequence[str]]) -> dict[tuple[int, int], Order]:
    """Return the orders that exchange two slots of the same options, by these slots."""
    found = {}
    for i, j in combinations(range(len(options)), 2):
        if options[i] == options[j]:
            order = list(range(len(options)))
            order[i], order[j] = j, i
            found[i, j] = tuple(order)
    return found


def move(slots: int, start: int, end: int) -> Order:
    """Return the order that moves the word of slot `start` to `end`, past those in between."""
    order = list(range(slots))
    order.insert(end, order.pop(start))
    return tuple(order)
