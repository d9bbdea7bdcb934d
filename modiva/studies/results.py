"""What a folder holds of a study: its settings, its plan, and the rows of its finished cells."""

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from modiva.errors import ModivaError
from modiva.studies.plan import Plan, read_plan
from modiva.studies.sources import signature
from modiva.studies.spec import AuditSpec, Study, content_key
from modiva.studies.store import Store

if TYPE_CHECKING:
    import pandas as pd

SETTINGS_FILE = "settings.json"


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

    def frame(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Return the rows of finished cells, one per canary and control; none without an attack."""
        from modiva.studies.frame import study_frame

        try:
            return study_frame(self.store, self.plan, columns)
        finally:
            self.store.close()

    def models(self) -> "pd.DataFrame":
        """Return one row per trained model of all cells."""
        from modiva.studies.frame import models_frame

        try:
            return models_frame(self.store, self.plan)
        finally:
            self.store.close()

    def pools(self, kind: Literal["membership", "records"] = "membership") -> "pd.DataFrame":
        """Return one row per attack on a pool, or per sentence of one; none without a pool."""
        from modiva.studies.frame import pools_frame

        try:
            return pools_frame(self.store, self.plan, kind)
        finally:
            self.store.close()


@contextmanager
def open_results(study: Study, out: Path, store: Path | None = None) -> Iterator[Results]:
    """Yield what earlier runs left; planned anew only where settings, data or code have changed.

    Args:
        study: as it was run.
        out: folder of the results.
        store: folder of the steps; default `out`.

    Raises:
        ModivaError: no run has left anything.
    """
    home = Store(out if store is None else store)
    if not home.is_store():
        what = "is no store of a study" if home.folder.is_dir() else "is not there"
        raise ModivaError(
            f"{home.folder} {what}: run the study first, or name its results with --out and its "
            "store with --store"
        )
    plans = StudyPlans(study)
    try:
        yield Results(known_plan(home, out, plans.signature) or plans.make(), home)
    finally:
        home.close()


def finished_steps(store: Store) -> set[str]:
    """Return keys of finished steps; changed files are checked, unless a run holds the store."""
    if not store.is_store():
        return set()
    try:
        with store.locked():
            return store.finished()
    except (ModivaError, OSError):  # a run is going on, or the folder cannot be written
        return {key for key, _ in store.stamps()}


def collect(store: Store, *, targets: bool = False, dry_run: bool = False) -> tuple[int, int]:
    """Remove what no study uses; return the steps and bytes that were, or would be, removed.

    A study is one that ran with this store and whose folder of results is still there.

    Args:
        store: the store.
        targets: also remove the artefacts of steps that are used.
        dry_run: only count.

    Raises:
        ModivaError: no store, one in use, or a study whose plan cannot be read.
    """
    if not store.is_store():
        raise ModivaError(f"{store.folder} is no store of a study: name the folder that holds one")
    with store.locked():
        used: set[str] = set()
        gone: list[Path] = []
        for path in sorted((store.folder / "studies").glob("*.json")):
            found = read_plan(path)
            if found is None:
                raise ModivaError(f"{path} is damaged: run its study again first, then gc")
            plan, out = found
            if (store.folder / out / SETTINGS_FILE).is_file():
                used |= plan.keys()
            else:
                gone.append(path)
        if not dry_run:
            for path in gone:
                path.unlink()
        return store.remove(used, targets=targets, dry_run=dry_run)


def check_folder(out: Path, store: Store, settings: Mapping[str, Any], change: bool) -> bool:
    """Return whether `out` holds this study already.

    Raises:
        ModivaError: it holds another study's results, or something else, and so must not be used.
    """
    if out.exists() and not out.is_dir():
        raise ModivaError(f"--out {out} is a file: name a folder")
    if store.folder.resolve() != out.resolve() and not store.is_empty() and not store.is_store():
        raise ModivaError(f"--store {store.folder} is not empty and is no store: name another")
    path = out / SETTINGS_FILE
    if not path.exists():
        if out.is_dir() and any(p.name != ".lock" for p in out.iterdir()) and not store.is_store():
            raise ModivaError(f"--out {out} is not empty and holds no study: name another folder")
        return False
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModivaError(f"{path} cannot be read ({error}): name another --out") from error
    if not isinstance(known, dict):
        raise ModivaError(f"{path} is not a study's settings: name another --out")
    several = "grids" in known or "grids" in settings
    if not change and not several and known.keys() != settings.keys():
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
    return not changed


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
    place = os.path.relpath(out, store.folder)
    name = "self" if place == "." else content_key(place)
    return store.folder / "studies" / f"{name}.json"


def known_plan(store: Store, out: Path, wanted: str) -> Plan | None:
    """Return the plan that the last run left, if nothing that it follows from has changed."""
    found = read_plan(plan_path(store, out))
    return found[0] if found and found[0].signature == wanted else None
