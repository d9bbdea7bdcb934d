"""Strategies that damage what a user may hand in: JSON trees, bytes, tables, YAML, values."""

import copy
import json
import math
from typing import Any

from hypothesis import strategies as st

NUMBERS = ("-1", "0", "-0.0", "0.5", "1e-320", "1e309", "nan", "inf", "-inf", "9" * 20, "9" * 5000,
           "", " ", "x", "0x10", "1_0", "\u0663", "None", "true")  # fmt: skip
"""What may stand where a number is expected; none asks for long work where it is accepted."""

WORDS = ("", " ", "x", "a b", "\u00e9", "\u202ex", "x" * 5000, "{", "{digit*0}", "..", "~", "*",
         "-", "\udcff", "\x1b[31m", "%s", "None", "0", "-1", "99999999999999999999")  # fmt: skip
"""What may stand where a name is expected."""


def _nested(depth: int) -> Any:
    tree: Any = "x"
    for _ in range(depth):
        tree = [tree]
    return tree


def odd_values() -> st.SearchStrategy[Any]:
    """A JSON value that no reader expects."""
    return st.sampled_from(
        [
            *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, 10**30, -(10**30), 0.5, 1e308, -0.0),
            *(math.nan, math.inf, -math.inf, "", " ", "0", "\0", "\u00e9", "\ud800", "\x1b[31m"),
            *("x" * 5000, "../..", "/", [], {}, [[]], {"": None}, [0] * 300, {"x": {"x": []}}),
            _nested(60),
        ]
    )


def _places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a tree; long lists count by their ends."""
    found = [path]
    if isinstance(tree, dict):
        inside: list[Any] = list(tree)
    else:
        inside = [*range(len(tree))] if isinstance(tree, list) else []
    for key in inside[:12] + inside[12:][-2:]:
        found += _places(tree[key], (*path, key))
    return found


@st.composite
def json_trees(draw: st.DrawFn, tree: Any, most: int = 3) -> Any:
    """`tree` with one to `most` values replaced, removed, wrapped, doubled or moved."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, most))):
        places = _places(tree)
        path = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["replace", "replace", "remove", "wrap", "double", "move"]))
        if not path:
            if kind == "replace" and draw(st.booleans()):
                return draw(odd_values())
            continue
        holder = tree
        for key in path[:-1]:
            holder = holder[key]
        key = path[-1]
        if kind == "replace":
            holder[key] = draw(odd_values())
        elif kind == "remove":
            del holder[key]
        elif kind == "wrap":
            holder[key] = [holder[key]]
        elif kind == "double" and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == "double":
            holder[draw(st.sampled_from(["", "x", f"{key} ", "id", "0"]))] = holder[key]
        else:
            other = draw(st.sampled_from(places))
            value = tree
            for step in other:
                value = value[step]
            holder[key] = copy.deepcopy(value)
    return tree


@st.composite
def json_texts(draw: st.DrawFn, tree: Any) -> bytes:
    """JSON of a damaged tree, at times damaged as bytes too, or nested beyond every reader."""
    kind = draw(st.sampled_from(["tree"] * 8 + ["bytes", "deep"]))
    if kind == "deep":
        return draw(
            st.sampled_from([b"[" * 100_000, b'{"x":' * 100_000, b"[" * 9000 + b"]" * 9000])
        )
    text = json.dumps(draw(json_trees(tree))).encode()
    return draw(byte_strings(text)) if kind == "bytes" else text


@st.composite
def byte_strings(draw: st.DrawFn, data: bytes, most: int = 3) -> bytes:
    """`data` with one to `most` bits flipped, stretches zeroed, cut out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(["flip", "zero", "cut", "truncate", "splice", "insert"]))
        start = draw(st.integers(0, max(len(changed) - 1, 0)))
        size = draw(st.sampled_from([1, 2, 8, 100, 4096]))
        if kind == "flip" and changed:
            changed[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "zero":
            changed[start : start + size] = bytes(len(changed[start : start + size]))
        elif kind == "cut":
            del changed[start : start + size]
        elif kind == "truncate":
            del changed[start:]
        elif kind == "splice":
            other = draw(st.integers(0, max(len(changed) - 1, 0)))
            changed[start:start] = changed[other : other + size]
        else:
            changed[start:start] = draw(st.sampled_from(_PIECES))
    return bytes(changed)


_PIECES = (b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n\n", b'"', b'""', b"'", b",",
           b"\t", b";", b"\x1a", b"\xed\xa0\x80", "\u2028".encode(), b"NaN", b"{", b"[", b"\\ud800",
           b"9" * 5000, b"text,intent\n")  # fmt: skip

# Nine times nine times nine ... values in a few lines, for whoever spells them out.
_LEVELS = [f"&{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]" for n in range(12)]
_BOMB = f"{{z: [&a [x, x], {', '.join(_LEVELS)}]}}"
# The same with merges, which are spelled out as they are read.
_MERGES = "a: &a {k: 1, l: 2}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join(['*' + chr(97 + n)] * 9)}]}}\n"
    for n in range(10)
)
# A grid of 10**8 cells.
_GRID = f"repetitions: {[*range(10_000)]}\nnoise: {[*range(1, 10_001)]}\n".encode()


@st.composite
def yaml_texts(draw: st.DrawFn, settings: dict[str, Any]) -> bytes:
    """A YAML mapping with odd values, doubled keys, aliases without end, or deep nesting."""
    kinds = ["bytes", "twice", "bomb", "deep", "tag", "tag", "merges", "grid"]
    kind = draw(st.sampled_from(["tree"] * 7 + kinds))
    key = draw(st.sampled_from(sorted(settings)))
    text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items())
    if kind == "tree":
        return json.dumps(draw(json_trees(settings, most=2))).encode()
    if kind == "bytes":
        return draw(byte_strings(text.encode()))
    if kind == "twice":
        return f"{text}{key}: {json.dumps(draw(odd_values()))}\n".encode()
    if kind == "bomb":
        name = draw(st.sampled_from([key, key, "grids", "defaults", "x"]))
        return draw(st.sampled_from([f"{name}: {_BOMB}\n", f"{name}: [{_BOMB}]\n"])).encode()
    if kind == "merges":
        return _MERGES.encode()
    if kind == "grid":
        return _GRID
    if kind == "deep":
        deep = draw(st.sampled_from(["[" * 10_000 + "]" * 10_000, "{x: " * 2_000 + "}" * 2_000]))
        return f"{key}: {deep}\n".encode()
    odd = ["!!python/name:os.system", "!!timestamp 2001-99-99", "!!binary /", "!!set {a, b}",
           "0o9", "2001-01-01", ".nan", "-.inf", "1:30:00", "!!int x", "!x y", "*none",
           "|", "@", "010", "1e-3", "1_000", "0x1f", "!!float 1:30", '"\\0"', '"\\ud800"', "no",
           "9" * 5000, "~nouser/x", "/dev/zero", "../../etc/passwd"]  # fmt: skip
    return f"{text}{key}: {draw(st.sampled_from(odd))}\n".encode()


@st.composite
def arguments(draw: st.DrawFn, flags: dict[str, tuple[str, ...]], most: int = 2) -> list[str]:
    """One to `most` flags, each with one of the values that stand beside it."""
    chosen = draw(st.lists(st.sampled_from(sorted(flags)), min_size=1, max_size=most, unique=True))
    return [f"{flag}={draw(st.sampled_from(flags[flag]))}" for flag in chosen]
