"""What a study reads, told by content and without parsing it: has anything changed since?"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Any

from canaries import load_patterns
from canaries.reading import regular_size
from modiva.corpora import source_files
from modiva.studies.code import code_version
from modiva.studies.spec import Study, content_key


def signature(study: Study) -> str:
    """Hash settings, code and every file that the settings name; the plan follows from it.

    Raises:
        ModivaError, CanaryError, OSError: a file or folder that cannot be what it is named for.
    """
    corpora = {
        name: _hash((str(file), file) for file in source_files(name))
        for name in _named(study, "corpus")
    }
    targets = {name: content(Path(name)) for name in _named(study, "target")}
    patterns = {name: _patterns(Path(name)) for name in _named(study, "patterns_file")}
    files = ("word_space", "autoencoder", "swaps")
    protections = [path for name in files for path in _named(study, name)]
    text = [content(Path(name)) for name in protections]
    return content_key(study.as_dict(), code_version("plan"), corpora, targets, patterns, text)


def content(path: Path) -> str:
    """Hash a file, or the names and contents of a folder's files; "" if there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return _hash((str(file.relative_to(path)), file) for file in files if file.is_file())


def _named(study: Study, setting: str) -> list[str]:
    """Return the values of a setting in all grids, sorted."""
    values = (getattr(grid, setting) for grid in study.grids)
    several = (value if isinstance(value, tuple) else (value,) for value in values)
    return sorted({each for value in several for each in value if each is not None})


def _patterns(file: Path) -> Any:
    """Return what a pattern file defines, with the words of the lists that it names."""
    templates, spaces = load_patterns(file)
    return [templates, [astuple(space) for space in spaces.values()]]


def _hash(files: Iterable[tuple[str, Path]]) -> str:
    """Hash the names and contents of files; "" if there are none."""
    digest = hashlib.sha256()
    named = sorted(files)
    for name, file in named:
        regular_size(file)
        digest.update(os.fsencode(name) + b"\0")
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest() if named else ""
