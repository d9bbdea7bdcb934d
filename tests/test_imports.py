"""Imports: no circles, packages that meet at their faces, keys that cover the code of a step."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import grimp
import pytest

from modiva.studies.code import INPUTS, LIBRARIES, PARTS

ROOT = Path(__file__).parents[1]
PACKAGES = ("canaries", "attacks", "modiva")
# Public names of all packages together; a new one has to be worth its place.
MOST_NAMES = 113

# Code that a step runs and that decides none of its results, and why.
NO_PART = {
    "attacks.errors": "texts of errors",
    "attacks.objectives": "of training it only refuses checkpoints that have no loss",
    "modiva.version": "the version",
    "modiva.counts": "words",
    "modiva.errors": "texts of errors",
    "modiva.files": "writes what it is given",
    "modiva.validate": "refuses values, changes none",
    "modiva.studies.engines.task": "carries steps and their outcomes",
    "modiva.studies.settings": "as spec",
    "modiva.studies.spec": "decides which steps there are; what they compute is in their keys",
}
# Training and fitting score nothing. Training gives rows of models: their values are those of
# steps/rows.py, and a title or meaning of a column must not train anything again.
SCORING = {
    "modiva.measure",
    *(
        f"modiva.measure.{name}"
        for name in (
            "audits",
            "column",
            "columns",
            "exposure",
            "inference",
            "intervals",
            "matches",
            "membership",
            "rows",
            "summary",
        )
    ),
}
# Libraries whose version decides no result of a step.
NO_LIBRARY = {
    "datasets": "gives users their data sets back, which no step does",
    "huggingface_hub": "downloads, whose content is in the keys",
    "hassil": "sentences of the corpus, whose fingerprint is in the keys",
    "home_assistant_intents": "as hassil",
    "pandas": "summaries, which no step makes",
    "pyarrow": "as hassil",
    "pooch": "downloads, compared with their checksums",
    "requests": "as pooch",
    "safetensors": "writes and reads numbers unchanged",
    "tqdm": "bars",
    "urllib3": "as pooch",
    "yaml": "patterns, whose content is in the keys",
}
STEPS = {
    "train": "steps.train", "fit": "steps.fit", "attack": "steps.attack",
    "membership": "steps.membership", "groups": "steps.groups", "plan": "planning",
}  # fmt: skip


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def files() -> Iterator[tuple[str, Path]]:
    """Name and file of every module."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_no_file_imports_itself_by_way_of_others(graph):
    modules = {name for name, _ in files()}
    sorter = TopologicalSorter(
        {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}
    )
    sorter.prepare()  # raises CycleError, which names the circle


def test_packages_of_modiva_import_each_other_by_their_faces():
    """So that a package can be rebuilt inside without a look at the others."""
    faces = {name for name, path in files() if name.count(".") == 1 and path.stem == "__init__"}
    past = []
    for name, path in files():
        own = ".".join(name.split(".")[:2])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                package = ".".join(node.module.split(".")[:2])
                if package in faces and package.startswith("modiva.") and package != own:
                    public = getattr(import_module(package), "__all__", ())
                    past += [
                        f"{name}: from {node.module} import {alias.name}"
                        for alias in node.names
                        if node.module != package or alias.name not in public
                    ]
    assert not past


def test_attacks_see_spaces_and_patterns_only(graph):
    """The threat model in imports. `spelling` is of patterns, `reading` of files of users."""
    seen = {
        target for name, _ in files() if name.split(".")[0] == "attacks"
        for target in graph.find_modules_directly_imported_by(name)
        if target.split(".")[0] == "canaries"
    }  # fmt: skip
    assert seen <= {f"canaries.{name}" for name in ("spaces", "patterns", "spelling", "reading")}


def test_public_names_are_few_and_there():
    names = defaultdict(list)
    for name, path in files():
        if path.stem == "__init__":
            module = import_module(name)
            # Those of modiva itself are its functions for programs, which api has.
            names[name] = list(getattr(module, "__all__", ())) if name != "modiva" else []
            assert all(hasattr(module, public) for public in names[name])
    counts = {name: len(public) for name, public in names.items()}
    assert sum(counts.values()) <= MOST_NAMES, counts


@pytest.mark.parametrize("kind", STEPS)
def test_a_key_covers_all_code_that_decides_its_step(graph, kind):
    """A stale result hangs on this list: code that no key covers changes and nothing is redone."""
    module = f"modiva.studies.{STEPS[kind]}"
    kinds = [kind, *INPUTS.get(kind, ())]
    parts = [ROOT / part for kind in kinds for part in PARTS[kind]]
    assert all(part.exists() for part in parts)
    reached = graph.find_upstream_modules(module) | {module}
    own = {
        name for name, path in files()
        if name in reached and not any(path.is_relative_to(part) for part in parts)
    }  # fmt: skip
    assert own - (SCORING if kind in ("train", "fit") else set()) <= NO_PART.keys()
    libraries = {name for name in reached if "." not in name}
    libraries -= {*PACKAGES, *sys.stdlib_module_names}
    covered = {library for kind in kinds for library in LIBRARIES[kind]}
    assert libraries - covered <= NO_LIBRARY.keys()
