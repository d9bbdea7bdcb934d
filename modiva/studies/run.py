"""Run a study: check everything, reuse what is finished, compute the rest."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modiva.errors import ModivaError
from modiva.files import write_json, write_text
from modiva.published import withdraw
from modiva.studies.engines.debug import DebugEngine
from modiva.studies.engines.local import LocalEngine, end_unguarded
from modiva.studies.engines.task import Engine
from modiva.studies.plan import save_plan
from modiva.studies.results import (
    AUDIT,
    SETTINGS_FILE,
    SOURCE_FILE,
    Plans,
    Results,
    StudyPlans,
    check_folder,
    known_plan,
    plan_path,
)
from modiva.studies.schedule import Schedule
from modiva.studies.spec import AuditSpec, Study
from modiva.studies.store import Store
from modiva.validate import require


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
        """Return the engine; `scratch` is for what is not finished."""
        if self.name == "local":
            return LocalEngine(self.workers, scratch)
        if self.name == "debug":
            return DebugEngine(scratch)
        from modiva.studies.engines.ray import RayEngine

        return RayEngine(self.address, self.gpus_per_cell, scratch)


@dataclass(frozen=True)
class StudyResult(Results):
    """What a run left.

    Args:
        reused: cells that were finished before.
        failed: name and file of the error of every cell that failed.
        computed: steps that this run ran.
        seconds: it took.
    """

    reused: int
    failed: tuple[tuple[str, Path], ...]
    computed: int
    seconds: float


def run_study(
    study: Study | AuditSpec,
    out: Path,
    engine: EngineSettings,
    *,
    store: Path | None = None,
    device: str = "auto",
    progress: bool = True,
    change: bool = False,
    source: Path | None = None,
    finish: Callable[[StudyResult], None] | None = None,
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
        source: file of the study; results of another file are not replaced.
        finish: called with the result while the folders are held, to publish it.

    Raises:
        ModivaError: bad settings, a folder of other settings or of something else, or one in use;
            or a script that calls this without `if __name__ == "__main__":`, since every worker
            process imports the script.
        OSError: a folder cannot be written.
    """
    if isinstance(study, AuditSpec):
        study = Study((study,))
    return run_plan(
        StudyPlans(study),
        out,
        engine,
        store=store,
        device=device,
        progress=progress,
        change=change,
        source=source,
        finish=finish,
    )


def run_plan(
    plans: Plans,
    out: Path,
    engine: EngineSettings,
    *,
    store: Path | None = None,
    device: str = "auto",
    progress: bool = True,
    change: bool = False,
    source: Path | None = None,
    finish: Callable[[StudyResult], None] | None = None,
) -> StudyResult:
    """Run a plan of any steps; see `run_study`."""
    end_unguarded()
    started = time.perf_counter()
    require(engine.workers >= 1, "--workers", engine.workers, "1 or more")
    out = Path(out)
    home = Store(out if store is None else store)
    name = AUDIT if source is None else str(source.resolve())
    try:
        check_folder(out, home, plans.settings, change, name)
    except ModivaError:
        plans.make()  # what is wrong with the settings is said before what is wrong with a folder
        raise
    plan = known_plan(home, out, plans.signature)
    if plan is None or not plan.goals <= _recorded(home):
        plan = plans.make()  # everything is checked before a folder is touched
    with home.locked(), home.results(out):
        if not check_folder(out, home, plans.settings, change, name):
            withdraw(out)
            write_text(out / SOURCE_FILE, f"{name}\n")
            write_json(out / SETTINGS_FILE, plans.settings)
        if not plan.steps and not plan.goals <= home.finished():
            plan = plans.make()
        path = plan_path(home, out)
        place = os.path.relpath(out.resolve(), home.folder.resolve())
        save_plan(path, plan, place, str(out.resolve()))
        reused, computed = len(plan.cells), 0
        failed: tuple[tuple[str, Path], ...] = ()
        if plan.steps:
            schedule = Schedule(plan, home, device)
            reused = schedule.reused
            schedule.run(engine.start(home.scratch), progress)
            computed, failed = schedule.computed, schedule.failed_cells()
        result = StudyResult(plan, home, reused, failed, computed, time.perf_counter() - started)
        if finish is not None:
            finish(result)
    return result


def _recorded(store: Store) -> set[str]:
    """Return the steps that are finished by their files' names; the files are not read."""
    return {key for key, _ in store.stamps()}
