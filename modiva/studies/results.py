"""What a folder holds of a study: its settings, its plan, and the rows of its finished cells."""

import itertools
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from modiva.errors import ModivaError
from modiva.files import is_held
from modiva.studies.folder import MARKER, is_empty, is_store
from modiva.studies.plan import Plan, read_plan
from modiva.studies.sources import signature
from modiva.studies.spec import AuditSpec, Study, content_key
from modiva.studies.store import Store

if TYPE_CHECKING:
    import pandas as pd

SETTINGS_FILE = "settings.json"
# Names the study file that the results are of.
SOURCE_FILE = "source.txt"
AUDIT = "modiva audit"  # in place of a file, of settings that are flags
T = TypeVar("T")


class Plans(Protocol):
    """What makes the plan of a study, where none can be read.

    Attributes:
        settings: of the study, as plain JSON values.
        signature: of all that the plan follows from.
    """

    settings: Mapping[str, Any]
    signature: str

    def make(self) -> Plan:
        """Check everything and plan."""


class StudyPlans(Plans):
    """Makes the plan of the cells of a study."""

    def __init__(self, study: Study | AuditSpec) -> None:
        study = Study((study,)) if isinstance(study, AuditSpec) else study
        self.settings = study.as_dict()
        self.signature = signature(study)
        self._study = study

    def make(self) -> Plan:
        """Check everything and plan; this loads corpora and PyTorch."""
        from modiva.studies.planning import plan_study

        return plan_study(self._study)


@dataclass(frozen=True)
class Results:
    """The cells of a study that are finished, and those that are not.

    Args:
        plan: of the study.
        store: where its rows are.
    """

    plan: Plan
    store: Store

    @property
    def cells(self) -> int:
        """Cells of the study."""
        return len(self.plan.cells)

    def finished(self) -> set[str]:
        """Return the keys of finished steps whose rows are the study's."""
        return self.plan.goals & finished_steps(self.store)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the file of every finished step of the study, by key."""
        found = self._read(lambda: self.store.index.digests())
        return {key: found[key] for key in sorted(self.plan.goals & found.keys())}

    def confirm(self) -> None:
        """Compare rows and files of all steps, before the rows are published."""
        self._read(lambda: self.store.confirm(self.plan.keys()))

    def frame(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Return the rows of finished cells, one per canary and control; none without an attack."""
        from modiva.studies.frame import study_frame

        return self._read(lambda: study_frame(self.store, self.plan, columns))

    def models(self) -> "pd.DataFrame":
        """Return one row per trained model of all cells."""
        from modiva.studies.frame import models_frame

        return self._read(lambda: models_frame(self.store, self.plan))

    def _read(self, task: Callable[[], T]) -> T:
        """Read from the index; one that SQLite cannot read is rebuilt, and read again."""
        try:
            return task()
        except sqlite3.Error as error:
            self.store.rebuild(error)
            return task()
        finally:
            self.store.close()

    def others(self, kind: Literal["membership", "records", "groups", "names"]) -> "pd.DataFrame":
        """Return the rows of another measurement than attacks; none where it was not asked for.

        Args:
            kind: one row per attack on a pool (membership), per sentence of a pool (records), per
                group of test sentences of a model (groups), or per model (names).
        """
        from modiva.studies.frame import other_frame

        return self._read(lambda: other_frame(self.store, self.plan, kind))


@contextmanager
def open_results(
    study: Study, out: Path, store: Path | None = None, publish: bool = False
) -> Iterator[Results]:
    """Yield what earlier runs left; planned anew only where settings, data or code have changed.

    Args:
        study: as it was run.
        out: folder of the results.
        store: folder of the steps; default `out`.
        publish: the results are written to `out`, which must be those of this study.

    Raises:
        ModivaError: no run has left anything, or `out` is of other settings.
    """
    home = Store(out if store is None else store)
    if not home.is_store():
        what = f"has no {MARKER}, so it is no store of a study"
        raise ModivaError(
            f"{home.folder} {what if home.folder.is_dir() else 'is not there'}: run the study "
            "first, or name its results with --out and its store with --store"
        )
    plans = StudyPlans(study)
    if publish and not check_folder(out, home, plans.settings, change=True):
        raise ModivaError(f"{out} holds results of other settings, or none: run the study first")
    try:
        yield Results(known_plan(home, out, plans.signature) or plans.make(), home)
    finally:
        home.close()


def finished_steps(store: Store) -> set[str]:
    """Return keys of finished steps; changed files are checked, unless a run holds the store."""
    if is_held(store.folder):
        return {key for key, _ in store.stamps()}
    return store.finished()


def check_folder(
    out: Path, store: Store, settings: Mapping[str, Any], change: bool, source: str = AUDIT
) -> bool:
    """Return whether `out` holds this study already.

    Args:
        out: folder of the results.
        store: of its steps.
        settings: of the study.
        change: whether they may replace others.
        source: what the study stands in; results of another one are not replaced.

    Raises:
        ModivaError: it holds another study's results, or something else, and so must not be used.
    """
    if out.exists() and not out.is_dir():
        raise ModivaError(f"--out {out} is a file: name a folder")
    if store.folder.resolve() != out.resolve() and not store.is_empty() and not store.is_store():
        raise ModivaError(f"--store {store.folder} is not empty and is no store: name another")
    path = out / SETTINGS_FILE
    if not path.exists():
        if not is_empty(out) and not is_store(out):
            raise ModivaError(f"--out {out} is not empty and holds no study: name another folder")
        return False
    known = _known_settings(path)
    if not change and not {"grids"} & {*known, *settings} and known.keys() != settings.keys():
        odd = sorted(known.keys() ^ settings.keys())
        raise ModivaError(
            f"--out {out} holds results of another version of modiva, which has other settings "
            f"({', '.join(odd)}): name another folder, remove it, or let --change replace them"
        )
    changed = sorted(name for name in {*known, *settings} if known.get(name) != settings.get(name))
    if changed and not change:
        name = changed[0]
        raise ModivaError(
            f"--out {out} holds results of other settings ({name} was {known.get(name)!r}, now "
            f"{settings.get(name)!r}): name another folder, remove it, or let --change replace them"
        )
    if changed:
        _check_own(path, known, settings, source)
    return not changed


def _known_settings(path: Path) -> dict[str, Any]:
    """Return the settings of the study whose results are in a folder."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModivaError(f"{path} cannot be read ({error}): name another --out") from error
    if not isinstance(known, dict):
        raise ModivaError(f"{path} is not a study's settings: name another --out")
    return known


def _check_own(
    path: Path, known: Mapping[str, Any], settings: Mapping[str, Any], source: str
) -> None:
    """Raise unless settings that are to be replaced are an older self of the study."""
    # A grid of any version has more than half of the settings of every other.
    alike = len(known.keys() & settings.keys()) > len(known) // 2
    if not alike and "grids" not in known and "grids" not in settings:
        raise ModivaError(f"{path} is not a study's settings: name another --out")
    try:
        other = (path.parent / SOURCE_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return
    if source != AUDIT and other != source and (other == AUDIT or Path(other).is_file()):
        raise ModivaError(
            f"--out {path.parent} holds the results of {other}: name another --out for {source}, "
            "or remove the folder"
        )


def free_folder(base: Path, settings: Mapping[str, Any]) -> Path:
    """Return the first of `base`, base-2, base-3, ... that holds these settings or nothing yet."""
    for number in itertools.count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        try:
            check_folder(folder, Store(folder), settings, change=False)
        except ModivaError:  # it holds something else
            continue
        return folder
    raise AssertionError


def plan_path(store: Store, out: Path) -> Path:
    """Return the file of the plan of the study whose results are in `out`."""
    place = os.path.relpath(out.resolve(), store.folder.resolve())
    name = "self" if place == "." else content_key(place)
    return store.folder / "studies" / f"{name}.json"


def known_plan(store: Store, out: Path, wanted: str) -> Plan | None:
    """Return the plan that the last run left, if nothing that it follows from has changed."""
    found = read_plan(plan_path(store, out))
    return found[0] if found and found[0].signature == wanted else None
