"""What a study reads, told by content and without parsing it: has anything changed since?"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from modiva.corpora import local_copy, parse_columns
from modiva.studies.code import code_version
from modiva.studies.spec import Study, content_key


def signature(study: Study) -> str:
    """Hash settings, code and every file that the settings name; the plan follows from it."""
    named = {
        name
        for grid in study.grids
        for name in (*grid.corpus, *grid.target, grid.patterns_file)
        if name is not None
    }
    files = {name: content(_place(name)) for name in sorted(named)}
    return content_key(study.as_dict(), code_version("plan"), files)


def _place(name: str) -> Path:
    """Return the file or folder that a setting names; of a public corpus its local copy."""
    return local_copy(name) or parse_columns(name)[0]


def content(path: Path) -> str:
    """Hash a file, or the names and contents of a folder's files; "" if there is none."""
    digest = hashlib.sha256()
    for file in _files(path):
        digest.update(os.fsencode(file.relative_to(path)) + b"\0")
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest() if path.exists() else ""


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file())
