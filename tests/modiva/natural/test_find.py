"""What counts as a secret, what could stand in its place, and how it is masked."""

import re

import pytest

from modiva.errors import ModivaError
from modiva.natural.find import Finder, load_kinds

FOUND = {
    "e-mail": [
        ("write to ann.lee42@mail.example.com please", "ann.lee42@mail.example.com", 26**6 * 100),
        ("Joe_9@site.org", "Joe_9@site.org", 26**3 * 10),
        ("to ann . lee @ mail . com please", "ann . lee @ mail . com", 26**6),
    ],
    "date": [
        ("i was born on 1987-03-15", "1987-03-15", 10**8),
        ("since 3/4/95 i think", "3/4/95", 10**4),
        ("book it for March 15th", "March 15th", 1200),
        ("on the 2nd of may 1990", "2nd of may 1990", 12 * 10**5),
        ("due 24.12.2025.", "24.12.2025", 10**8),
        ("from Sep 30 on", "Sep 30", 1200),
        ("a table on 6 / 14 / 2035 at a", "6 / 14 / 2035", 10**7),
        ("on april 25 , 2020", "april 25 , 2020", 12 * 10**6),
    ],
    "amount": [
        ("i paid $12.50 twice", "$12.50", 10**4),
        ("send 1,250 euros to her", "1,250 euros", 10**4),
        ("it cost £ 99", "£ 99", 100),
        ("why 75 dollars", "75 dollars", 100),
        ("paid $ 12 . 50 twice", "$ 12 . 50", 10**4),
    ],
    "phone": [
        ("call me at 212-555-0134 now", "212-555-0134", 10**10),
        ("my number is (212) 555 0134", "(212) 555 0134", 10**10),
        ("text +49 30 1234567", "+49 30 1234567", 10**9),
        ("is 555-0134 yours", "555-0134", 10**7),
    ],
    "code": [
        ("my booking is QX7K21", "QX7K21", 26**3 * 10**3),
        ("order ab-1234-z failed", "ab-1234-z", 26**3 * 10**4),
        ("coupon save-10Y21", "save-10Y21", 26 * 10**4),
    ],
    "number": [
        ("my card pin is 7391", "7391", 10**4),
        ("code 7 3 9 1 it is", "7 3 9 1", 10**4),
        ("card 4111 1111 1111 1111", "4111 1111 1111 1111", 10**16),
        ("wake me at 10:30 pm", "10:30", 10**4),
        ("take 500mg", "500", 10**3),
    ],
    "spoken": [
        ("wake me at seven thirty am", "seven thirty", 28**2),
        ("my pin is Seven three NINE one", "Seven three NINE one", 28**4),
        ("volume to fifty-five percent", "fifty-five", 28**2),
    ],
}


@pytest.mark.parametrize(
    ("kind", "text", "secret", "size"),
    [(kind, *one) for kind, listed in FOUND.items() for one in listed],
)
def test_a_secret_is_found_whole_with_the_space_of_its_form(kind, text, secret, size):
    read, masked, (found,) = Finder().find(text)
    assert read == text
    assert found.kind == kind
    assert text[slice(*found.span)] == secret
    assert found.size == size
    options = iter(found.choices)
    assert text == "".join(
        part if isinstance(part, str) else part[next(options)] for part in found.parts
    )
    assert masked == text.replace(secret, re.sub(r"[^\W_]", "•", secret))


@pytest.mark.parametrize(
    "text",
    [
        "play the top 10 songs",
        "a 24-hour shop",
        "covid-19 rules",
        "the 2nd one at 5 pm",
        "20km away",
        "",
        "it may rain",
        "two of 9",
        "someone told seventeen twosomes",
        "a one-two-many game",
        "see you @ home . thanks",
    ],
)
def test_ordinary_words_and_small_numbers_are_no_secrets(text):
    assert Finder().find(text) == (text, text, [])


def test_every_secret_of_a_sentence_is_found_once_and_all_are_masked():
    text = "on 2024-03-15 i paid $12.50 with 7391 as a.b12@c.com"
    _, masked, found = Finder().find(text)
    assert [secret.kind for secret in found] == ["date", "amount", "number", "e-mail"]
    assert not re.search("[0-9]", masked)


def test_case_is_kept_in_what_could_stand_in_a_place():
    _, _, (code,) = Finder().find("Q7k21")
    assert [part[0] for part in code.parts] == ["A", "0", "a", "0", "0"]
    _, _, (date,) = Finder().find("due MAY 15")
    assert date.parts[1][0] == "JANUARY"


def test_kinds_of_the_user_go_first(tmp_path):
    path = tmp_path / "kinds.yaml"
    path.write_text("badge: 'badge ([A-Z]{2}[0-9]{3})'\n")
    finder = Finder(load_kinds(path))
    _, masked, (secret,) = finder.find("my badge AB123")
    assert (secret.kind, masked) == ("badge", "my badge •••••")
    assert finder.kinds[0] == "badge"


def test_marked_secrets_are_the_only_ones_and_all_else_is_masked_all_the_same():
    read, masked, (secret,) = Finder(marked=True).find("my pin is {7391} or 8842")
    assert read == "my pin is 7391 or 8842"
    assert read[slice(*secret.span)] == "7391"
    assert masked == "my pin is •••• or ••••"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n", "must map names"),
        ("badge: '['\n", "is not a regular expression"),
        ("badge: 3\n", "must be text"),
        ("phone: '[0-9]+'\n", "exists already"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_a_file_of_kinds_is_refused_with_its_entry(content, message, tmp_path):
    path = tmp_path / "kinds.yaml"
    path.write_text(content)
    with pytest.raises(ModivaError, match=message):
        load_kinds(path)


def test_finders_refuse_unknown_regions_and_open_braces():
    with pytest.raises(ModivaError, match="--region XX"):
        Finder(region="XX")
    with pytest.raises(ModivaError, match="brace"):
        Finder(marked=True).find("my pin is {7391")
