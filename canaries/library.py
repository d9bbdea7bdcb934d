"""A user's own patterns and word lists, read from a YAML file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from canaries.reading import quote, read_bytes, read_yaml
from canaries.spaces import SPACES, WORD, CanaryError, SecretSpace, get_space, is_word
from canaries.templates import CATALOG, Slots, parse_template

T = TypeVar("T")

LARGEST_LIST = 2**24  # bytes of a word list: a million words

_EXAMPLE = "patterns: {badge: 'my badge is {team} {digit*3}'}  spaces: {team: [red, blue]}"


def load_patterns(path: str | Path) -> tuple[dict[str, str], dict[str, SecretSpace]]:
    """Read the patterns and secret spaces of a YAML file.

    Args:
        path: a mapping with `patterns` (name: template), `spaces` (name: list of words, or the
            name of a text file beside this one with one word per line), or both.

    Returns:
        The templates and the spaces, by name, as `get_pattern` takes them.

    Raises:
        CanaryError: names the file and the entry that is wrong.
        OSError: when a file cannot be read.
    """
    path = Path(path)
    try:
        content = read_yaml(path)
    except ValueError as error:
        raise CanaryError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict) or not content or not set(content) <= {"patterns", "spaces"}:
        raise CanaryError(
            f"{path} must be a mapping with 'patterns', 'spaces' or both, and nothing else, "
            f"such as {_EXAMPLE}"
        )

    def name_space(name: str, value: Any) -> SecretSpace:
        if name in SPACES or name == WORD:
            raise CanaryError(f"a space called {name!r} exists already: choose another name")
        return SecretSpace(name, tuple(_words(path, value)))

    spaces = _entries(path, "spaces", content.get("spaces"), name_space)

    def check_template(name: str, template: Any) -> str:
        if name in CATALOG:
            raise CanaryError(
                f"a pattern called {name!r} exists already: choose another name, or use "
                f"{name}:LENGTH if only the length differs"
            )
        if ":" in name or "{" in name or not name.strip():
            raise CanaryError(f"{name!r} cannot name a pattern: leave out ':' and braces")
        if not isinstance(template, str):
            raise CanaryError(
                f"{quote(template)} is not a template: write text such as "
                "'my badge is {digit*3}' in quotes"
            )
        for part in parse_template(template):
            # The words of the corpus are not known yet, and need not be to check a name.
            if isinstance(part, Slots) and part.space != WORD:
                get_space(part.space, spaces=spaces)
        return template

    return _entries(path, "patterns", content.get("patterns"), check_template), spaces


def _entries(
    path: Path, section: str, entries: Any, build: Callable[[str, Any], T]
) -> dict[str, T]:
    """Build each entry of a section, naming file, section and entry in whatever goes wrong."""
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise CanaryError(f"{section!r} of {path} must map names to values, such as {_EXAMPLE}")
    built = {}
    for name, value in entries.items():
        try:
            if not isinstance(name, str):
                raise CanaryError(f"the name {quote(name)} is not text: put it in quotes")
            built[name] = build(name, value)
        except CanaryError as error:
            raise CanaryError(f"{path}, {section}, {name}: {error}") from error
    return built


def _words(path: Path, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return _listed(path.parent, value)
    raise CanaryError(
        f"{quote(value)} is not a word list: give a list of words, or the name of a text file with "
        "one word per line"
    )


def _listed(folder: Path, name: str) -> list[str]:
    """Return the words of a file of the folder; its lines are in no error: it may be any file."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise CanaryError(f"{quote(name)} is not beside the pattern file: copy the word list there")
    file = folder / name
    try:
        text = read_bytes(file, LARGEST_LIST).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CanaryError(
            f"{file} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        ) from error
    words: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if word and not is_word(word):
            raise CanaryError(
                f"{file}, line {number} is not a single word: write one word per line, without "
                "spaces or braces"
            )
        if word and words.setdefault(word, number) != number:
            raise CanaryError(
                f"{file}, line {number} is the word of line {words[word]}: list each word once"
            )
    return list(words)
