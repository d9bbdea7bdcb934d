"""What users hand in and see as text: JSON and YAML, read whole or refused, and safe to print."""

import errno
import json
import math
import re
import reprlib
import stat
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml

LONGEST = 2000  # characters of an error, some screens of a terminal
LARGEST = 2**30  # bytes of a file that is read whole
LARGEST_YAML = 2**20  # PyYAML takes about ten seconds for so many
# Pairs of a mapping with what `<<` merges into it: merges of merges grow as fast as aliases do.
MOST_MERGED = 10_000
MOST_DIGITS = 400


def read_bytes(path: str | Path, most: int = LARGEST) -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: of the file; a pipe or a device, which may never end, is not opened.
        most: the largest size in bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger.
    """
    path = Path(path)
    size = regular_size(path)
    if size > most:
        raise OSError(f"{path} holds {size:,} bytes, and {most:,} are the most that are read")
    return path.read_bytes()


def regular_size(path: str | Path) -> int:
    """Return the size of a regular file in bytes.

    Raises:
        OSError: it cannot be found, or is a pipe or a device, whose end nobody can tell.
    """
    try:
        found = Path(path).stat()
    except ValueError as error:  # a NUL, or half a character
        raise OSError(errno.EINVAL, "this cannot name a file", str(path)) from error
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(f"{path} is no regular file but a pipe or a device: save its content as one")
    return found.st_size


def parse_json(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: it is not JSON, not UTF-8, nested too deeply, or escapes half a character,
            which no file and no screen takes.
    """
    try:
        value = json.loads(text)
        # Only an escape makes half of a surrogate pair; the others are rare enough to look.
        lower = text.lower()
        if rb"\ud" in lower if isinstance(lower, bytes) else r"\ud" in lower:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def json_text(value: Any, indent: int = 2) -> str:
    """Return a value as JSON for a screen: a number that is not finite is null, never Infinity."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file; see `parse_yaml`.

    Raises:
        ValueError: it is not YAML.
        OSError: it cannot be read, or holds more than `LARGEST_YAML` bytes.
    """
    data = read_bytes(path, LARGEST_YAML)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8: save it as UTF-8") from error
    return parse_yaml(text)


def parse_yaml(text: str) -> Any:
    """Read YAML without tags that run code; a key may stand once in a mapping.

    Numbers are decimal, such as 10, 0.5 and 1e-3. What versions of YAML read as different
    numbers, such as 010 and 1:30, is refused; dates are text.

    Raises:
        ValueError: it is not YAML, nested too deeply, holds a key twice, or a number that can be
            read in two ways; in one line.
    """
    try:
        return yaml.load(text, _Plain)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{error.problem or error.context}{where}") from error
    except yaml.YAMLError as error:
        raise ValueError(one_line(str(error))) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def one_line(text: str) -> str:
    """Return `text` as one line for any screen: breaks as spaces, control characters escaped."""
    line = shown(" ".join(text.split()))
    if len(line) <= LONGEST:
        return line
    return f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def shown(text: str) -> str:
    """Return `text` with what moves a terminal escaped; line ends, tabs and blanks stay."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" or category(c) == "Zs" else repr(c)[1:-1] for c in text
    )


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error is that of memory which the machine does not have."""
    words = ("out of memory", "allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def quote(value: Any) -> str:
    """Return `repr(value)`, cut short: a few lines of YAML aliases can hold 9**12 values."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 200, 200
    return short.repr(value)


class _Plain(yaml.SafeLoader):
    """YAML in which a key stands once and a number is the one that a reader sees."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                _refuse(key, f"the key {quote(key.value)} stands twice")
            if name:
                seen.add(name)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_MERGED:
            _refuse(node, f"<< merges more than {MOST_MERGED:,} settings into one mapping")

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            _refuse(node, f"{quote(value)} escapes a character that no text has: leave it out")
        return value

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        if not _WHOLE.fullmatch(node.value):
            self.construct_unclear(node)
        if len(node.value) > MOST_DIGITS:
            _refuse(node, f"{quote(node.value)} has {len(node.value):,} digits: shorten it")
        return int(node.value)

    def construct_decimal(self, node: yaml.ScalarNode) -> float:
        if not _DECIMAL.fullmatch(node.value):
            self.construct_unclear(node)
        return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))

    def construct_unclear(self, node: yaml.ScalarNode) -> None:
        _refuse(
            node,
            f"{quote(node.value)} is no number that all readers agree on: write a decimal one, "
            "such as 10, or text in quotes",
        )


def _refuse(node: yaml.Node, problem: str) -> None:
    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# YAML 1.1 reads these as octal, hexadecimal, binary or base-60 numbers, YAML 1.2 as others or text.
_UNCLEAR = re.compile(
    r"[-+]?(?:0[0-9_]+(?:\.[0-9_]*)?|0[xob][0-9a-fA-F_]+|[0-9][0-9_]*_[0-9_]*"
    r"|[0-9][0-9_]*(?::[0-9.]+)+)"
)
_INT, _FLOAT, _TIME = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp"))
_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in (_INT, _FLOAT, _TIME)]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _construct in (
    (_INT, _WHOLE, _Plain.construct_whole),
    (_FLOAT, _DECIMAL, _Plain.construct_decimal),
    ("!unclear", _UNCLEAR, _Plain.construct_unclear),
):
    _whole = re.compile(rf"(?:{_pattern.pattern})$")
    _Plain.add_implicit_resolver(_tag, _whole, list("-+.0123456789"))
    _Plain.add_constructor(_tag, _construct)
