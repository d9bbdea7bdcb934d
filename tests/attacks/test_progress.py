"""Attacks that score a space show how far they are, candidate by candidate."""

import io
from contextlib import redirect_stderr

import pytest

from attacks import build_completion, get_attack
from canaries.spaces import get_space


class Terminal(io.StringIO):
    """Text that is written to a screen."""

    def isatty(self):
        return True


@pytest.mark.parametrize("name", ["exhaustive", "contrast"])
def test_scores_of_a_whole_space_show_progress_where_it_is_wanted(name, tokenizer, bert):
    problem = build_completion(
        tokenizer, bert, prefix="call", slots=(get_space("digit"),) * 3, label=0
    )
    for wanted in (True, False):
        with redirect_stderr(Terminal()) as screen:
            get_attack(name).run(bert, [problem], progress=wanted)
        assert (name in screen.getvalue()) == wanted
