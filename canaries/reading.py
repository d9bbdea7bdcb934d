"""What users hand in as text: JSON and YAML, read whole or refused, and quoted in one line."""

import json
import reprlib
from typing import Any

import yaml

LONGEST = 2000  # characters of an error, some screens of a terminal


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


def parse_yaml(text: str) -> Any:
    """Read YAML without tags that run code; a key may stand once in a mapping.

    Raises:
        ValueError: it is not YAML, nested too deeply, or holds a key twice; in one line.
    """
    try:
        return yaml.load(text, _UniqueKeys)
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
    words = " ".join(text.split())
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    if len(shown) <= LONGEST:
        return shown
    return f"{shown[: LONGEST // 2]} ... {shown[-LONGEST // 2 :]}"


def quote(value: Any) -> str:
    """Return `repr(value)`, cut short: a few lines of YAML aliases can hold 9**12 values."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 200, 200
    return short.repr(value)


class _UniqueKeys(yaml.SafeLoader):
    """YAML takes the last of two equal keys in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            if name:
                seen.add(name)
        return super().construct_mapping(node, deep)
