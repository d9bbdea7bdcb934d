"""Neighbours of a candidate and best-first expansion, by their definitions."""

from itertools import permutations

import pytest

from attacks.frontier import expand
from attacks.neighbours import changes, exchanges, move, reordered

DIGITS, COLORS = tuple("0123456789"), ("red", "blue")


def test_changes_are_all_candidates_that_differ_in_one_slot_at_most():
    found = list(changes((1, 0), [range(3), range(2)]))
    assert found == [(0, 0), (1, 0), (2, 0), (1, 0), (1, 1)]


def test_only_slots_of_the_same_options_are_exchanged():
    orders = exchanges([DIGITS, COLORS, DIGITS])
    assert orders == {(0, 2): (2, 1, 0)}
    assert reordered((7, 1, 5), orders[0, 2]) == (5, 1, 7)


@pytest.mark.parametrize(("start", "end"), list(permutations(range(4), 2)))
def test_a_move_keeps_the_order_of_the_other_words(start, end):
    moved = reordered(tuple("abcd"), move(4, start, end))
    word = "abcd"[start]
    assert moved[end] == word
    assert [each for each in moved if each != word] == [each for each in "abcd" if each != word]


def test_slots_behind_those_of_the_problem_stay():
    assert reordered((1, 2, 3, 0, 0), (2, 0, 1)) == (3, 1, 2, 0, 0)


def test_expansion_takes_the_best_that_is_new_until_nothing_is():
    """On a line whose score falls towards 9, each number shows the two beside it."""
    known, seen = {4}, []

    def best(expanded):
        fresh = sorted((abs(9 - number), number) for number in known - set(expanded))
        return [number for _, number in fresh[:1]]

    def look(centres):
        seen.extend(centres)
        known.update(n for centre in centres for n in (centre - 1, centre + 1) if 0 <= n <= 9)

    expand(best, look, rounds=3)
    assert seen == [4, 5, 6]
    known, seen = {4}, []
    expand(best, look)
    assert seen == [4, 5, 6, 7, 8, 9, 3, 2, 1, 0]
