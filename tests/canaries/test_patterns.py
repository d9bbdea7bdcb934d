"""A pattern numbers its secrets one to one, and refuses what it cannot hold."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from scipy.stats import chisquare

from canaries import CanaryError, Pattern, SecretSpace, get_pattern
from canaries.patterns import CATALOG, parse_slots
from canaries.spaces import SPACES

VOCABULARY = [first + second for first in "abcdefghij" for second in "klmnopqrst"]

slots = st.one_of(
    st.sampled_from(list(SPACES.values())),
    st.integers(2, 5000).map(lambda n: SecretSpace("own", tuple(f"w{i}" for i in range(n)))),
)
texts = st.sampled_from([" ", " ", "", "-", " my is ", "a7", "@"])


@st.composite
def forms(draw: st.DrawFn) -> Pattern:
    """Slots with text, spaces or nothing between them; those that read in two ways are left out."""
    parts: list[str | SecretSpace] = [draw(texts)]
    for space in draw(st.lists(slots, min_size=1, max_size=6)):
        parts += [space, draw(texts)]
    sentence = [part for part in parts if part]
    if sentence[0] == " ":
        sentence = sentence[1:]
    if sentence[-1] == " ":
        sentence = sentence[:-1]
    try:
        return Pattern("own", "own", tuple(sentence))
    except CanaryError:
        reject()


@given(pattern=forms(), data=st.data())
def test_secrets_and_their_numbers_are_one_to_one(pattern: Pattern, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, pattern.size - 1))
    secret = pattern.secret(index)
    assert pattern.index(secret) == index
    assert pattern.match(pattern.fill(secret)) == secret


def test_numbers_run_through_the_space_with_the_last_slot_fastest() -> None:
    pattern = get_pattern("{color} by {digit*2}")
    in_order = itertools.product(*(space.options for space in pattern.slots))
    assert [pattern.secret(index) for index in range(pattern.size)] == list(in_order)


@given(pattern=forms(), n=st.integers(0, 30), seed=st.integers(0, 2**32))
def test_drawn_secrets_are_distinct(pattern: Pattern, n: int, seed: int) -> None:
    n = min(n, pattern.size)
    drawn = pattern.draw(np.random.default_rng(seed), n)
    assert len(set(drawn)) == len(drawn) == n


def test_every_word_is_equally_likely_in_every_slot() -> None:
    pattern, rng = get_pattern("street"), np.random.default_rng(3)
    drawn = [pattern.draw(rng, 1)[0] for _ in range(4000)]
    for place, space in enumerate(pattern.slots):
        counts = Counter(secret[place] for secret in drawn)
        assert chisquare([counts[option] for option in space.options]).pvalue > 0.001


def test_a_whole_space_can_be_drawn_and_not_one_more() -> None:
    pattern, rng = get_pattern("date"), np.random.default_rng(0)
    assert len(set(pattern.draw(rng, 1200))) == 1200
    with pytest.raises(CanaryError, match=r"1200 secrets.*1201 are asked for.*0 to 1200"):
        pattern.draw(rng, 1201)


@pytest.mark.parametrize(
    ("name", "size", "length"),
    [
        ("call", 10**4, 4),
        ("pin", 10**4, 4),
        ("color", 12**4, 4),
        ("phone", 10**10, 10),
        ("zip", 10**5, 5),
        ("date", 1200, 3),
        ("street", 32_000, 4),
        ("passphrase", 100**6, 6),
        ("email", 32 * 10**2 * 8, 4),
        ("card", 10**16, 16),
        ("name", 32**2, 2),
    ],
)
def test_the_catalog_has_spaces_of_known_size(name: str, size: int, length: int) -> None:
    for style in (name, f"{name}-glued"):
        pattern = get_pattern(style, vocabulary=VOCABULARY)
        assert (pattern.name, pattern.size, pattern.length) == (style, size, length)
        assert style in CATALOG
    assert {name.removesuffix("-glued") for name in CATALOG} <= set(CATALOG)


def test_a_passphrase_of_5000_words_is_counted_exactly() -> None:
    words = [a + b for a, b in itertools.product(VOCABULARY, VOCABULARY)][:5000]
    pattern = get_pattern("passphrase", vocabulary=words)
    assert pattern.size == 5000**6
    assert pattern.index(pattern.secret(pattern.size - 1)) == pattern.size - 1


def test_a_name_may_carry_a_length() -> None:
    pattern = get_pattern("call:6")
    assert (pattern.name, pattern.template, pattern.size) == ("call", "call {digit*6}", 10**6)
    assert get_pattern("street:2").template == "i live at {digit*2} {street} street"
    assert get_pattern("pin-glued:2").fill(("4", "2")) == "my pin code is 42"


def test_a_template_keeps_its_words_on_both_sides_of_the_secret() -> None:
    pattern = get_pattern("  my code is { digit * 2 } or {color}   please ")
    assert (pattern.prefix, pattern.suffix) == ("my code is", "please")
    assert pattern.name == pattern.template == "my code is {digit*2} or {color} please"
    assert pattern.fill(("4", "2", "red")) == "my code is 4 2 or red please"


def test_own_patterns_and_spaces_are_found_by_name() -> None:
    team = SecretSpace("team", ("red", "blue"))
    pattern = get_pattern(
        "badge:2", spaces={"team": team}, patterns={"badge": "badge {team} {digit*3}"}
    )
    digit = SPACES["digit"]
    assert pattern.parts == ("badge ", team, " ", digit, " ", digit)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cal", r"'cal'.*did you mean 'call'.*passphrase.*LENGTH"),
        ("my code is", "neither a pattern nor a template with slots"),
        ("", "neither a pattern"),
        ("call:x", "'x' in 'call:x' is not a length.*1 to 64"),
        ("call:", "is not a length"),
        ("call:0", "length 0.*1 to 64"),
        ("call:65", "length 65.*1 to 64"),
        ("call {digit*4", "unmatched '{'"),
        ("call {{digit}}", "unmatched '{'"),
        ("call }", "unmatched '}'"),
        ("call {a|ab}{b|bb}", "read in two ways.*mark or a space"),
        ("call {digit*4:close}", "':close'.*':glued' is all"),
        ("call {a|a}", "'a' occurs twice"),
        ("call {a|}", "not a single word"),
        ("call {[a, b c]}", "'b c'.*single word"),
        ("call {digits*4}", "no secret space.*'digits'.*did you mean 'digit'"),
        ("call {digit*0}", "repeated 0 times.*1 to 64"),
        ("call {digit*x}", "is not a slot"),
        ("call {digit*-1}", "is not a slot"),
        ("call {}", "is not a slot"),
        ("call {digit*60} {color*5}", "65 slots.*at most 64"),
        ("call {digit*999999}", "999999 times"),
        ("call {word*4}", "vocabulary"),
    ],
)
def test_a_bad_pattern_is_refused_with_the_remedy(spec: str, message: str) -> None:
    with pytest.raises(CanaryError, match=message):
        get_pattern(spec)


def test_a_length_that_could_mean_two_slots_is_refused() -> None:
    with pytest.raises(CanaryError, match="repeats 2 slots"):
        get_pattern("own:3", patterns={"own": "{digit*2} and {color*2}"})


def test_a_named_template_without_slots_is_refused() -> None:
    with pytest.raises(CanaryError, match=r"has no slot.*\{digit\*4\}"):
        get_pattern("own", patterns={"own": "no secret here"})


@pytest.mark.parametrize("secret", ["1234", ("1", "2", "3"), ("1", "2", "3", "x"), ()])
def test_a_secret_that_does_not_fit_is_refused(secret: tuple[str, ...]) -> None:
    pattern = get_pattern("call")
    with pytest.raises(CanaryError):
        pattern.index(secret)
    with pytest.raises(CanaryError):
        pattern.fill(secret)


@pytest.mark.parametrize("index", [-1, 10_000])
def test_a_number_outside_the_space_is_refused(index: int) -> None:
    with pytest.raises(CanaryError, match="use 0 to 9999"):
        get_pattern("call").secret(index)


@pytest.mark.parametrize(
    ("template", "secret", "text"),
    [
        ("my card pin is {digit*4:glued}", "7391", "my card pin is 7391"),
        ("My PIN: {digit*4:glued}.", "7391", "My PIN: 7391."),
        ("call {digit*3:glued}-{digit*4:glued} now", "5550123", "call 555-0123 now"),
        ("{capital*2:glued} {digit*3:glued}", "KN042", "KN 042"),
        ("wake me at {digit*2:glued}:{digit*2:glued} pm", "0930", "wake me at 09:30 pm"),
        ("it is  ${digit*2:glued}.{digit*2:glued}!", "1250", "it is $12.50!"),
        ("code{digit*2}x", "42", "code4 2x"),
        ("{[0,1,2,3]*4:glued}", "3120", "3120"),
        ("{a|b|c} {letter}{digit}", "cz9", "c z9"),
        ("{[:,*]}{[a,b]*2:glued}", "*ba", "*ba"),
    ],
)
def test_text_that_touches_a_brace_touches_the_secret(
    template: str, secret: str, text: str
) -> None:
    pattern = get_pattern(template)
    assert pattern.fill(tuple(secret)) == text
    assert pattern.match(text) == tuple(secret)
    assert pattern.match(text + "0") is None
    again = get_pattern(pattern.template)
    assert (again.template, again.parts) == (pattern.template, pattern.parts)


def test_options_of_several_lengths_may_touch_where_the_text_can_be_read_in_one_way() -> None:
    email = get_pattern("{first-name}{digit*2:glued}@{word}.com", vocabulary=["ab", "abc", "c"])
    texts = {email.fill(email.secret(index)) for index in range(email.size)}
    assert len(texts) == email.size
    assert email.match("anna07@abc.com") == ("anna", "0", "7", "abc")
    both = get_pattern("{a|aa}{a|b}")
    assert [both.match(text) for text in ("aaa", "aab", "ab", "aaaa")] == [
        ("aa", "a"),
        ("aa", "b"),
        ("a", "b"),
        None,
    ]


spellings = st.lists(
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=2, max_size=4, unique=True),
    min_size=2,
    max_size=3,
)


@given(options=spellings)
def test_exactly_the_forms_in_which_two_secrets_are_the_same_text_are_refused(
    options: list[list[str]],
) -> None:
    texts = Counter(map("".join, itertools.product(*options)))
    template = "".join("{" + "|".join(its) + "}" for its in options)
    if max(texts.values()) > 1:
        with pytest.raises(CanaryError, match="read in two ways"):
            get_pattern(template)
    else:
        pattern = get_pattern(template)
        assert all(pattern.fill(pattern.match(text) or ()) == text for text in texts)


@pytest.mark.parametrize("text", ["call 1 2 3", "call 1 2 3 4 5", "call 1 2 3 x", "ring 1 2 3 4"])
def test_only_the_pattern_s_own_sentences_match(text: str) -> None:
    assert get_pattern("call").match(text) is None


def test_slots_are_listed_as_on_the_command_line() -> None:
    assert parse_slots("month digit*2") == (SPACES["month"], SPACES["digit"], SPACES["digit"])
    assert [space.options for space in parse_slots("[0, 1,2]*2 red|green")] == [
        ("0", "1", "2"),
        ("0", "1", "2"),
        ("red", "green"),
    ]


@pytest.mark.parametrize("text", ["", "  ", "digit*", "{digit}", "digits", "word"])
def test_a_bad_list_of_slots_is_refused(text: str) -> None:
    with pytest.raises(CanaryError):
        parse_slots(text)
