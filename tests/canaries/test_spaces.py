"""What a slot may hold is public, distinct, and one word an option."""

import pytest

from canaries import CanaryError, SecretSpace
from canaries.spaces import SPACES, get_space


@pytest.mark.parametrize("name", SPACES)
def test_every_option_of_every_space_is_a_distinct_single_word(name: str) -> None:
    space = SPACES[name]
    assert space.name == name
    assert len(set(space.options)) == len(space) >= 2
    assert all(option.split() == [option] and option in space for option in space.options)
    assert [space.index(option) for option in space.options] == list(range(len(space)))


def test_the_spaces_of_the_paper_have_their_sizes() -> None:
    assert SPACES["digit"].options == tuple("0123456789")
    assert len(SPACES["digit-word"]) == 10
    assert len(SPACES["color"]) == 12


def test_the_word_space_is_what_the_corpus_holds_in_letters() -> None:
    space = get_space("word", vocabulary=["play", "?", "3rd", "music", "play", "o'clock"])
    assert space.options == ("play", "music")


def test_the_word_space_needs_a_corpus() -> None:
    with pytest.raises(CanaryError, match="vocabulary"):
        get_space("word")


def test_an_unknown_space_names_itself_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(CanaryError, match=r"'colour'.*'color'.*digit-word.*word list"):
        get_space("colour")


def test_own_spaces_go_first() -> None:
    own = SecretSpace("digit", ("0", "1"))
    assert get_space("digit", spaces={"digit": own}) is own


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("two words", ("a", "b"), "cannot name"),
        ("", ("a", "b"), "cannot name"),
        ("s", ("a", "new york"), "'new york'.*single word"),
        ("s", ("a", ""), "single word"),
        ("s", ("a", "{b}"), "single word"),
        ("s", ("a", "a"), "'a' occurs twice"),
        ("s", ("a",), "at least 2"),
        ("s", ("a", 83), "83.*quotes"),
    ],
)
def test_a_bad_space_is_refused(name: str, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(CanaryError, match=message):
        SecretSpace(name, options)


def test_a_word_outside_the_space_is_refused_with_the_options() -> None:
    with pytest.raises(CanaryError, match=r"'x' is not in space 'digit'.*\(0, 1, "):
        SPACES["digit"].index("x")
