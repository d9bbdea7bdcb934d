"""What one slot of a canary may hold: public knowledge of attacker and evaluator alike."""

import difflib
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from canaries.reading import quote

WORD = "word"  # the one space that comes from the corpus: its options are the corpus's words

LISTED = "|"  # between the options of a list in a template
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class CanaryError(ValueError):
    """Bad input to planting: the message names the value, what is allowed and what to do."""


@dataclass(frozen=True)
class SecretSpace:
    """The options of one slot, in the order that gives each its index.

    Args:
        name: how templates call the space: a letter, then letters, digits, `_` or `-`; or the
            options themselves with "|" between, for a list in the template.
        options: at least two distinct single words.

    Raises:
        CanaryError: when the name or an option breaks these rules.
    """

    name: str
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        listed = LISTED.join(map(str, self.options))
        if self.name != listed and not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise CanaryError(
                f"{self.name!r} cannot name a secret space: start with a letter and go on with "
                "letters, digits, '_' or '-'"
            )
        seen: set[str] = set()
        for option in self.options:
            if not isinstance(option, str):
                raise CanaryError(
                    f"option {quote(option)} of space {self.name!r} is not text: put it in quotes"
                )
            if not is_word(option):
                raise CanaryError(
                    f"option {option!r} of space {self.name!r} is not a single word: an option is "
                    "one word without spaces or braces; use one slot for each word"
                )
            if option in seen:
                raise CanaryError(
                    f"option {option!r} occurs twice in space {self.name!r}: list each option once"
                )
            seen.add(option)
        if len(seen) < 2:
            raise CanaryError(
                f"space {self.name!r} has {len(seen)} option(s): a secret needs at least 2 to "
                "choose from"
            )

    def __len__(self) -> int:
        return len(self.options)

    def __contains__(self, option: object) -> bool:
        return option in self._positions

    def index(self, option: str) -> int:
        """Return the place of `option` among the options; CanaryError if it is none of them."""
        try:
            return self._positions[option]
        except KeyError:
            shown = ", ".join(self.options[:12]) + (", ..." if len(self) > 12 else "")
            raise CanaryError(
                f"{option!r} is not in space {self.name!r}: use one of its {len(self)} options "
                f"({shown})"
            ) from None

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {option: position for position, option in enumerate(self.options)}


def is_word(text: str) -> bool:
    """Return whether a text can be an option: one word without spaces or braces."""
    return text.split() == [text] and "{" not in text and "}" not in text


def _space(name: str, words: str) -> SecretSpace:
    return SecretSpace(name, tuple(words.split()))


# Words are lower case, as corpora are; colors are the eleven basic color terms and one more.
SPACES: Mapping[str, SecretSpace] = MappingProxyType(
    {
        space.name: space
        for space in (
            SecretSpace("digit", tuple(string.digits)),
            _space("digit-word", "zero one two three four five six seven eight nine"),
            _space(
                "color", "black white red green yellow blue brown orange pink purple gray silver"
            ),
            SecretSpace("letter", tuple(string.ascii_lowercase)),
            SecretSpace("capital", tuple(string.ascii_uppercase)),
            _space(
                "month",
                "january february march april may june july august september october november "
                "december",
            ),
            _space(
                "street",
                "main oak maple elm pine cedar walnut park lake hill spring river mill church "
                "north south high king queen station bridge garden forest market castle victoria "
                "washington lincoln jackson franklin madison jefferson",
            ),
            _space(
                "first-name",
                "james mary john patricia robert jennifer michael linda william elizabeth david "
                "barbara richard susan joseph jessica thomas sarah charles karen daniel nancy "
                "matthew lisa anthony betty mark margaret paul sandra george anna",
            ),
            _space(
                "last-name",
                "smith johnson williams jones garcia miller davis rodriguez martinez hernandez "
                "lopez gonzalez wilson anderson taylor moore martin lee perez thompson harris "
                "clark lewis robinson young allen wright scott torres nguyen hill green",
            ),
            _space("provider", "gmail yahoo hotmail outlook aol icloud proton mail"),
        )
    }
)


def get_space(
    name: str,
    *,
    vocabulary: Sequence[str] | None = None,
    spaces: Mapping[str, SecretSpace] | None = None,
) -> SecretSpace:
    """Return the space called `name`: one of `spaces`, of `SPACES`, or the corpus's words.

    Args:
        name: a key of `spaces` or `SPACES`, "word", or options with "|" between.
        vocabulary: the words of a corpus; "word" holds those made of letters only, in this order.
        spaces: the user's own spaces, looked up first.

    Raises:
        CanaryError: for an unknown name, and for "word" without a vocabulary.
    """
    own = spaces or {}
    if name in own:
        return own[name]
    if name in SPACES:
        return SPACES[name]
    if LISTED in name:
        return SecretSpace(name, tuple(name.split(LISTED)))
    if name != WORD:
        known = [*own, *SPACES, WORD]
        raise CanaryError(
            f"no secret space is called {name!r}{suggest(name, known)}: use one of "
            f"{', '.join(known)}, or define a word list in a pattern file"
        )
    if vocabulary is None:
        raise CanaryError(
            "space 'word' holds the words of a corpus, and there is no corpus here: give a "
            "vocabulary, or use a word list of your own"
        )
    return SecretSpace(WORD, tuple(dict.fromkeys(word for word in vocabulary if word.isalpha())))


def suggest(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean ...?)" when a known name is close to `name`, else nothing.

    Case does not count: it is what many names are mistyped in.
    """
    plain = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), list(plain), n=1)
    return f" (did you mean {plain[close[0]]!r}?)" if close else ""
