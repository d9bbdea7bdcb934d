"""Finds the secrets that sentences hold: what stands there, and what could stand in its place."""

import math
import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import phonenumbers

from canaries.reading import read_yaml
from canaries.spaces import SPACES
from modiva.errors import ModivaError

Span = tuple[int, int]

MASK = "•"
MARKED = "marked"
REGION = "US"
_MONTHS = SPACES["month"].options
_MONTH = rf"(?:{'|'.join(_MONTHS)}|{'|'.join(name[:3] for name in _MONTHS)})"
_DAY = "[0-9]{1,2}(?:st|nd|rd|th)?"
# Corpora that are split into words have spaces around marks: 6 / 14 / 2035, ann @ mail . com.
_EMAIL = re.compile(
    r"(?<![\w.+-])(?:(?P<a>[\w.+-]+)@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    r"|(?P<b>[\w+-]+(?: [.+-] [\w+-]+)*) @ (?:[A-Za-z0-9-]+ \. )+"
    r"(?:com|org|net|edu|gov|io|co|uk|de|fr)\b)"
)
_DATE = re.compile(
    r"(?<![\w.])(?:[0-9]{4}(?P<a>[-/.]| [-/.] )[0-9]{1,2}(?P=a)[0-9]{1,2}"
    r"|[0-9]{1,2}(?P<b>[-/.]| [-/.] )[0-9]{1,2}(?P=b)(?:[0-9]{4}|[0-9]{2})"
    rf"|(?:(?P<m>{_MONTH})\.? {_DAY}|{_DAY}(?: of)? (?P<n>{_MONTH}))"
    r"(?:(?: ?,)? [0-9]{4})?)(?!\w)",
    re.IGNORECASE,
)
_FIGURE = r"[0-9](?:[0-9,.]*[0-9])?(?: [.,] [0-9]+)*"
_AMOUNT = re.compile(
    rf"[$€£¥]\s?{_FIGURE}"
    rf"|(?<![\w.]){_FIGURE}\s?(?:€|£|(?:dollars?|euros?|pounds?|usd|eur|gbp|bucks|cents)\b)",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<![\w])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?!\w)")
_UNIT = re.compile("[0-9]+[a-z]{1,3}", re.IGNORECASE)  # 20km, 3rd, 500mg
_WORD = re.compile("[a-z]{3,}")  # in 24-hour
# Speech is transcribed in words: seven three nine one, fifty five, seven thirty am.
_SPOKEN = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    "sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
)
_SPOKEN_WORD = rf"(?:{_SPOKEN})(?!\w)"
_SPOKEN_RUN = re.compile(rf"(?<![\w-]){_SPOKEN_WORD}(?:[ -]{_SPOKEN_WORD})+(?!-)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![A-Za-z0-9])[0-9]+(?:[ ,./:-][0-9]+)*(?![0-9])")
_BRACED = re.compile(r"\{([^{}]+)\}")

DIGITS, LETTERS = string.digits, string.digits + string.ascii_letters


@dataclass(frozen=True)
class Secret:
    """One secret in a sentence.

    Args:
        kind: what it is.
        parts: of the sentence: literal text and, for each slot, its options.
        choices: which option of each slot the sentence has.
        span: the characters (start, end) of the secret in the sentence.
    """

    kind: str
    parts: tuple[str | tuple[str, ...], ...]
    choices: tuple[int, ...]
    span: Span

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of options of each slot."""
        return tuple(len(part) for part in self.parts if not isinstance(part, str))

    @property
    def size(self) -> int:
        """Number of candidates, the secret included; exact."""
        return math.prod(self.sizes)


@dataclass(frozen=True)
class _Match:
    """Where a secret may be: its span, and the spans in it of which all is known or none."""

    span: Span
    slots: Span
    allowed: str
    words: tuple[Span, ...] = ()  # months, or numbers in words
    known: tuple[Span, ...] = ()


def _emails(text: str, _: str) -> Iterator[_Match]:
    for match in _EMAIL.finditer(text):
        yield _Match(match.span(), match.span("a" if match["a"] else "b"), LETTERS)


def _dates(text: str, _: str) -> Iterator[_Match]:
    for match in _DATE.finditer(text):
        month = match.span("m") if match["m"] else match.span("n") if match["n"] else None
        yield _Match(match.span(), match.span(), DIGITS, words=(month,) if month else ())


def _amounts(text: str, _: str) -> Iterator[_Match]:
    for match in _AMOUNT.finditer(text):
        yield _Match(match.span(), match.span(), DIGITS)


def _phones(text: str, region: str) -> Iterator[_Match]:
    found = phonenumbers.PhoneNumberMatcher(
        text, region, leniency=phonenumbers.Leniency.POSSIBLE, max_tries=2**16
    )
    for match in found:
        # A row of digits alone is a phone number only where such numbers are given out.
        if match.raw_string.isdecimal() and not phonenumbers.is_valid_number(match.number):
            continue
        start = match.start
        if match.raw_string.startswith("+"):  # the country is no secret
            start += 1 + len(str(match.number.country_code))
        yield _Match((match.start, match.end), (start, match.end), DIGITS)


def _codes(text: str, _: str) -> Iterator[_Match]:
    for match in _CODE.finditer(text):
        if _UNIT.fullmatch(match[0]):
            continue
        pieces = [*re.finditer("[A-Za-z0-9]+", match[0])]
        words = [piece for piece in pieces if _WORD.fullmatch(piece[0])]
        rest = "".join(piece[0] for piece in pieces if piece not in words)
        digits = sum(c in DIGITS for c in rest)
        if digits >= 2 and len(rest) >= max(4, digits + 1):
            known = tuple((match.start() + w.start(), match.start() + w.end()) for w in words)
            yield _Match(match.span(), match.span(), LETTERS, known=known)


def _numbers(text: str, _: str) -> Iterator[_Match]:
    for match in _NUMBER.finditer(text):
        if sum(c in DIGITS for c in match[0]) >= 3:
            yield _Match(match.span(), match.span(), DIGITS)


def _spoken(text: str, _: str) -> Iterator[_Match]:
    for match in _SPOKEN_RUN.finditer(text):
        start = match.start()
        words = tuple(
            (start + word.start(), start + word.end())
            for word in re.finditer("[a-z]+", match[0], re.IGNORECASE)
        )
        yield _Match(match.span(), match.span(), "", words=words)


# In order of precedence: what one has taken is none of the later ones.
KINDS: Mapping[str, Callable[[str, str], Iterator[_Match]]] = MappingProxyType(
    {
        "e-mail": _emails,
        "date": _dates,
        "amount": _amounts,
        "phone": _phones,
        "code": _codes,
        "number": _numbers,
        "spoken": _spoken,
    }
)
_LEAST = 100  # candidates of a secret: below, the first percent of a space holds none


@dataclass(frozen=True)
class Finder:
    """Finds secrets of all kinds.

    Args:
        own: regular expressions of the user by name, which go before the kinds of `KINDS`; their
            first group is the secret, or the whole match where there is none.
        region: of phone numbers without a country, such as US.
        marked: secrets are those in braces, and no others.

    Raises:
        ModivaError: an unknown region, or regular expressions for secrets that are marked.
    """

    own: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    region: str = REGION
    marked: bool = False

    def __post_init__(self) -> None:
        if self.region not in phonenumbers.SUPPORTED_REGIONS:
            raise ModivaError(
                f"--region {self.region}: must be a country of two capital letters, such as US, DE"
            )
        if self.marked and self.own:
            raise ModivaError("give one of --marked and --patterns, not both")

    @classmethod
    def of(
        cls, patterns: str | Path | Mapping[str, str] | None, region: str, marked: bool
    ) -> "Finder":
        """Build a finder with expressions by name, or from a YAML file that maps names to them.

        Raises:
            ModivaError: as `load_kinds` and the class raise it.
            OSError: the file cannot be read.
        """
        if patterns is None:
            return cls(region=region, marked=marked)
        if isinstance(patterns, Mapping):
            return cls(_compile(patterns, "patterns"), region, marked)
        return cls(load_kinds(Path(patterns)), region, marked)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is looked for."""
        return (MARKED,) if self.marked else (*self.own, *KINDS)

    def find(self, text: str) -> tuple[str, str, list[Secret]]:
        """Find the secrets of a sentence.

        Returns:
            The sentence as a model reads it (without the braces of marks), the same with its
            secrets masked, and the secrets in order.

        Raises:
            ModivaError: braces that are not closed, where secrets are marked.
        """
        marks: list[Span] = []
        if self.marked:
            text, marks = _unmarked(text)
        matches = [(MARKED, _Match(span, span, LETTERS)) for span in marks]
        taken = [match.span for _, match in matches]
        hidden: list[Span] = [*taken]
        for kind, match in self._matches(text):
            if any(match.span[0] < end and start < match.span[1] for start, end in taken):
                continue
            taken.append(match.span)
            hidden.append(match.span)
            if not self.marked:
                matches.append((kind, match))
        secrets = [_secret(kind, text, match) for kind, match in matches]
        kept = [s for s in secrets if s is not None]
        return text, _masked(text, hidden), sorted(kept, key=lambda secret: secret.span)

    def _matches(self, text: str) -> Iterator[tuple[str, _Match]]:
        for name, pattern in self.own.items():
            for match in pattern.finditer(text):
                span = match.span(1 if pattern.groups else 0)
                if span[0] < span[1]:
                    yield name, _Match(span, span, LETTERS)
        for name, look in KINDS.items():
            for found in look(text, self.region):
                yield name, found


def load_kinds(path: Path) -> dict[str, re.Pattern[str]]:
    """Read regular expressions from a YAML file, a mapping of names to expressions.

    Raises:
        ModivaError: something else, a name that exists, or an expression that is none.
        OSError: the file cannot be read.
    """
    try:
        content = read_yaml(path)
    except ValueError as error:
        raise ModivaError(f"{path} is not YAML in UTF-8: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ModivaError(
            f"{path} must map names to regular expressions, such as badge: '[A-Z]{{2}}[0-9]{{3}}'"
        )
    return _compile(content, str(path))


def _compile(content: Mapping[Any, Any], where: str) -> dict[str, re.Pattern[str]]:
    kinds = {}
    for name, expression in content.items():
        if not isinstance(name, str) or not isinstance(expression, str):
            raise ModivaError(f"{where}: name and expression of {name!r} must be text, in quotes")
        if name in KINDS or name == MARKED:
            raise ModivaError(f"{where}: a kind {name!r} exists already: choose another name")
        try:
            kinds[name] = re.compile(expression)
        except re.error as error:
            raise ModivaError(
                f"{where}: {expression!r} of {name!r} is not a regular expression: {error}"
            ) from error
    return kinds


def _unmarked(text: str) -> tuple[str, list[Span]]:
    """Return the sentence without the braces, and the spans that stood in them."""
    plain, spans, end = "", [], 0
    for match in _BRACED.finditer(text):
        plain += text[end : match.start()]
        spans.append((len(plain), len(plain) + len(match[1])))
        plain += match[1]
        end = match.end()
    plain += text[end:]
    if "{" in plain or "}" in plain:
        raise ModivaError("a brace that is not closed, or one in another: mark as in {7391}")
    return plain, spans


def _masked(text: str, spans: list[Span]) -> str:
    signs = list(text)
    for start, end in spans:
        signs[start:end] = [MASK if c.isalnum() else c for c in text[start:end]]
    return "".join(signs)


def _secret(kind: str, text: str, match: _Match) -> Secret | None:
    """Return the secret with its template; None below `_LEAST` candidates."""
    parts: list[str | tuple[str, ...]] = [""]
    choices: list[int] = []

    def put(piece: str, options: tuple[str, ...]) -> None:
        parts.extend((options, ""))
        choices.append(options.index(piece))

    place = 0
    while place < len(text):
        word = next((span for span in match.words if span[0] == place), None)
        sign = text[place]
        inside = match.slots[0] <= place < match.slots[1]
        known = any(start <= place < end for start, end in match.known)
        options = _options(sign) if inside and not known and sign in match.allowed else None
        if word is not None:
            put(text[slice(*word)], _alternatives(text[slice(*word)]))
            place = word[1]
            continue
        if options is not None:
            put(sign, options)
        else:
            parts[-1] = f"{parts[-1]}{sign}"
        place += 1
    secret = Secret(kind, tuple(part for part in parts if part), tuple(choices), match.span)
    return secret if secret.size >= _LEAST else None


def _options(sign: str) -> tuple[str, ...]:
    if sign in string.digits:
        return tuple(string.digits)
    return tuple(string.ascii_lowercase if sign.islower() else string.ascii_uppercase)


def _alternatives(word: str) -> tuple[str, ...]:
    """List the months or numbers that could stand for a word, written in its case."""
    names = _SPOKEN.split("|")
    if word.lower() not in names:
        names = [name if word.lower() in _MONTHS else name[:3] for name in _MONTHS]
    style = str.upper if word.isupper() else str.lower if word.islower() else str.title
    made = [style(name) for name in names]
    made[[name.lower() for name in made].index(word.lower())] = word
    return tuple(made)
