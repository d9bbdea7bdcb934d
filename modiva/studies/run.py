"""Run a study: check everything, reuse what is finished, compute the rest."""

import itertools
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modiva.errors import ModivaError
from modiva.files import write_json
from modiva.studies.engines.debug import DebugEngine
from modiva.studies.engines.local import LocalEngine, end_unguarded
from modiva.studies.engines.task import Engine
from modiva.studies.plan import Plan, read_plan, save_plan
from modiva.studies.schedule import Schedule
from modiva.studies.sources import signature
from modiva.studies.spec import AuditSpec, Study, content_key
from modiva.studies.store import Store
from modiva.validate import require

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class EngineSettings:
    """Where steps run.

    Args:
        name: "local" for processes of this machine, "ray" for a Ray cluster, "debug" for this
            process.
        workers: processes side by side of the local engine, one thread each.
        address: of the Ray cluster; "auto" is the one that this machine is part of.
        gpus_per_cell: GPUs, or a share of one, that Ray reserves for every step.
    """

    name: Literal["local", "ray", "debug"] = "local"
    workers: int = 1
    address: str = "auto"
    gpus_per_cell: float = 0.0

    def start(self, scratch: Path) -> Engine:
        """The engine; `scratch` is for what is not finished."""
        if self.name == "local":
            return LocalEngine(self.workers, scratch)
        if self.name == "debug":
            return DebugEngine(scratch)
        from modiva.studies.engines.ray import RayEngine

        return RayEngine(self.address, self.gpus_per_cell, scratch)


@dataclass(frozen=True)
class StudyResult:
    """What a run left.

    Args:
        plan: of the study.
        store: where its rows are.
        reused: cells that were finished before.
        failed: name and file of the error of every cell that failed.
        computed: steps that this run ran.
        seconds: it took.
    """

    plan: Plan
    store: Store
    reused: int
    failed: tuple[tuple[str, Path], ...]
    computed: int
    seconds: float

    @property
    def cells(self) -> int:
        """Cells of the study."""
        return len(self.plan.cells)

    def frame(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """The rows of all finished cells."""
        from modiva.studies.frame import study_frame

        try:
            return study_frame(self.store, self.plan, columns)
        finally:
            self.store.close()


def run_study(
    study: Study | AuditSpec,
    out: Path,
    engine: EngineSettings,
    *,
    store: Path | None = None,
    device: str = "auto",
    progress: bool = True,
    change: bool = False,
) -> StudyResult:
    """Run every step of `study` that the store does not hold yet.

    Args:
        study: one or several grids.
        out: folder of the results; one of the same settings is resumed.
        engine: where steps run.
        store: folder of the steps, which several studies may share; default `out`.
        device: `auto`, `cpu` or `cuda`.
        progress: show how far it is on standard error.
        change: let the study replace one of other settings in `out`.

    Raises:
        ModivaError: bad settings, a folder of other settings or of something else, or one in use;
            or a script that calls this without `if __name__ == "__main__":`, since every worker
            process imports the script.
        OSError: a folder cannot be written.
    """
    if isinstance(study, AuditSpec):
        study = Study((study,))
    return run_plan(
        StudyPlans(study), out, engine, store=store, device=device, progress=progress, change=change
    )


class StudyPlans:
    """Makes the plan of a study, once and only where none can be read."""

    def __init__(self, study: Study) -> None:
        self.settings = study.as_dict()
        self.signature = signature(study)
        self._study = study

    def make(self) -> Plan:
        """Check everything and plan; this loads corpora and PyTorch."""
        from modiva.studies.planning import plan_study

        return plan_study(self._study)


def run_plan(
    plans: Any,
    out: Path,
    engine: EngineSettings,
    *,
    store: Path | None = None,
    device: str = "auto",
    progress: bool = True,
    change: bool = False,
) -> StudyResult:
    """`run_study` for anything with `settings`, `signature` and `make()`, which gives a plan."""
    end_unguarded()
    started = time.perf_counter()
    require(engine.workers >= 1, "--workers", engine.workers, "1 or more")
    out = Path(out)
    home = Store(out if store is None else store)
    try:
        known = check_folder(out, home, plans.settings, change)
    except ModivaError:
        plans.make()  # what is wrong with the settings is said before what is wrong with a folder
        raise
    plan = known_plan(home, out, plans.signature)
    if plan is None or not plan.goals <= _recorded(home):
        plan = plans.make()  # everything is checked before a folder is touched
    with home.locked():
        if not known:
            write_json(out / SETTINGS_FILE, plans.settings)
        if not plan.steps and not plan.goals <= home.finished():
            plan = plans.make()
        save_plan(plan_path(home, out), plan, os.path.relpath(out, home.folder))
        reused, computed = len(plan.cells), 0
        failed: tuple[tuple[str, Path], ...] = ()
        if plan.steps:
            schedule = Schedule(plan, home, device)
            reused = schedule.reused
            schedule.run(engine.start(home.scratch), progress)
            computed = schedule.computed
            failed = tuple(
                (
                    cell.name,
                    next(schedule.failed[key] for key in cell.goals if key in schedule.failed),
                )
                for cell in plan.cells
                if any(key in schedule.failed for key in cell.goals)
            )
    return StudyResult(plan, home, reused, failed, computed, time.perf_counter() - started)


def check_folder(out: Path, store: Store, settings: Mapping[str, Any], change: bool) -> bool:
    """Whether `out` holds this study already.

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
    changed = sorted(name for name in {*known, *settings} if known.get(name) != settings.get(name))
    if changed and not change:
        name = changed[0]
        raise ModivaError(
            f"--out {out} holds results of other settings ({name} was {known.get(name)!r}, now "
            f"{settings.get(name)!r}): name another folder, remove it, or let --change replace them"
        )
    return not changed


def free_folder(base: Path, settings: Mapping[str, Any]) -> Path:
    """The first of `base`, base-2, base-3, ... that holds these settings or nothing yet."""
    for number in itertools.count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        try:
            check_folder(folder, Store(folder), settings, change=False)
        except ModivaError:  # it holds something else
            continue
        return folder
    raise AssertionError


def plan_path(store: Store, out: Path) -> Path:
    """The file of the plan of the study whose results are in `out`."""
    place = os.path.relpath(out, store.folder)
    name = "self" if place == "." else content_key(place)
    return store.folder / "studies" / f"{name}.json"


def known_plan(store: Store, out: Path, wanted: str) -> Plan | None:
    """The plan that the last run left, if nothing that it follows from has changed."""
    found = read_plan(plan_path(store, out))
    return found[0] if found and found[0].signature == wanted else None


def _recorded(store: Store) -> set[str]:
    """Steps that the files say are finished, without a look into them."""
    return {key for key, _ in store.stamps()}
