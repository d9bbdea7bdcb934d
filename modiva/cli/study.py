"""`modiva study run|status|report|export|gc`: grids that stand in files."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, subcommand

from modiva.cli.audit import Where
from modiva.cli.publish import publish
from modiva.counts import plural
from modiva.errors import ModivaError
from modiva.studies import Store, load_study
from modiva.studies.checks import check_study
from modiva.studies.plan import Plan
from modiva.studies.run import StudyPlans, known_plan
from modiva.studies.status import collect, finished_steps, verify

Format = Literal["csv", "json", "parquet", "latex", "md"]


@dataclass(frozen=True)
class Run:
    """Run the study of a file; a killed one goes on where it stopped.

    A file that has changed replaces the results of its older self; trained targets and attacks
    that both have are not computed again.
    """

    file: Positional[Path]
    """YAML: settings of `modiva audit` by name, lists where several values are meant; or a .py
    file that defines `study`, which is run."""
    where: Annotated[Where, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the results; results/runs/NAME of the file if not given."""

    def run(self) -> int:
        """Run the study; 1 if a cell failed."""
        out = self.out or _folder(self.file)
        command = ["modiva", "study", "run", str(self.file), "--out", str(out)]
        return self.where.execute(load_study(self.file), out, shlex.join(command), change=True)


@dataclass(frozen=True)
class _OfStudy:
    file: Positional[Path]
    """The study's file."""
    out: Path | None = None
    """Folder of the results; results/runs/NAME of the file if not given."""
    store: Path | None = None
    """Folder of trained targets and rows, if it is not that of the results."""

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.out or _folder(self.file)

    def check_there(self) -> None:
        """Raise where no run has left anything."""
        folder = self.store or self.folder
        if not Store(folder).is_store():
            what = "is no store of a study" if folder.is_dir() else "is not there"
            raise ModivaError(
                f"{folder} {what}: run the study first (modiva study run {self.file}), "
                "or name its results with --out and its store with --store"
            )

    @contextmanager
    def opened(self) -> Iterator[tuple[Store, Plan]]:
        """The store and the plan; planned anew only where settings, data or code have changed."""
        plans = StudyPlans(load_study(self.file))
        store = Store(self.store or self.folder)
        try:
            yield store, known_plan(store, self.folder, plans.signature) or plans.make()
        finally:
            store.close()


@dataclass(frozen=True)
class Status(_OfStudy):
    """Say which cells of a study are finished, and why others failed."""

    verify: bool = False
    """Read every file of the store and check its checksum; what is damaged is removed."""
    all: bool = False
    """Name every missing cell, not only the first ones."""

    def run(self) -> int:
        """Print the cells that are not finished and a count of all."""
        if self.verify:
            self.check_there()
        if not Store(self.store or self.folder).is_store():
            self._nothing()
            return 0
        with self.opened() as (store, plan):
            if self.verify:
                print(f"{verify(store)} of {plural(len(store.finished()), 'step')} were damaged")
            finished = finished_steps(store)
            failed = store.failures()
            done = named = missing = 0
            for cell in plan.cells:
                if finished.issuperset(cell.goals):
                    done += 1
                    continue
                reason = next((key for key in cell.goals if key in failed), None)
                if reason is None:
                    missing += 1
                if named < 20 or self.all:
                    named += 1
                    print(
                        f"missing  {cell.name}"
                        if reason is None
                        else f"failed   {cell.name}: {store.failure(reason)}"
                    )
            unfinished = len(plan.cells) - done
            if named < unfinished:
                print(f"... and {unfinished - named} more (--all names them)")
            ended = f"; {unfinished - missing} failed" if unfinished > missing else ""
            print(f"{done} of {plural(len(plan.cells), 'cell')} finished in {self.folder}{ended}")
        return 0

    def _nothing(self) -> None:
        """Say that no run has left anything; this needs no corpus."""
        study = load_study(self.file)
        check_study(study)
        cells = study.cells()
        named = cells if self.all else cells[:20]
        for cell in named:
            print(f"missing  {cell}")
        if len(named) < len(cells):
            print(f"... and {len(cells) - len(named)} more (--all names them)")
        print(f"0 of {plural(len(cells), 'cell')} finished in {self.folder}")


@dataclass(frozen=True)
class Report(_OfStudy):
    """Write the results of the cells that are finished, as `run` does at its end."""

    def run(self) -> int:
        """Write the report and say where it is."""
        self.check_there()
        command = shlex.join(["modiva", "study", "run", str(self.file), "--out", str(self.folder)])
        with self.opened() as (store, plan):
            finished_steps(store)
            settings = {**plan.settings, "command": command}
            published = publish(store, plan, self.folder, settings, again=True)
        if published is None:
            raise ModivaError(f"no cell of {self.file} is finished in {self.folder}: run it first")
        table, sentence = published
        print(f"{table}\n\nreport   {self.folder / 'report.html'}\n\n{sentence}")
        return 0


@dataclass(frozen=True)
class Export(_OfStudy):
    """Write rows and summary of the cells that are finished in other formats."""

    format: tuple[Format, ...] = ("csv",)
    """csv, json, parquet, latex (booktabs tables) or md."""
    to: Path | None = None
    """Folder of the files; export/ in the folder of the results if not given."""

    def run(self) -> int:
        """Export and name the files."""
        from modiva.measure import summarise
        from modiva.report.exports import export
        from modiva.studies.frame import study_frame

        self.check_there()
        with self.opened() as (store, plan):
            if not plan.goals & finished_steps(store):
                raise ModivaError(
                    f"no cell of {self.file} is finished in {self.folder}: run it first"
                )
            frame = study_frame(store, plan)
            settings = dict(plan.settings)
        folder = self.to or self.folder / "export"
        for path in export(frame, summarise(frame), settings, folder, self.format):
            print(path)
        return 0


@dataclass(frozen=True)
class Gc:
    """Remove from a store what no study uses: steps of settings or code that are gone."""

    folder: Positional[Path]
    """The store: the folder of a study's results, or what --store named."""
    targets: bool = False
    """Remove trained targets of finished studies too; a new attack trains them again, alike."""
    dry_run: bool = False
    """Say what would be removed and stop."""

    def run(self) -> int:
        """Remove and say how much."""
        steps, size = collect(Store(self.folder), targets=self.targets, dry_run=self.dry_run)
        verb = "would remove" if self.dry_run else "removed"
        print(f"{verb} {plural(steps, 'step')}, {size / 1e6:.1f} MB")
        return 0


def _folder(file: Path) -> Path:
    if not file.stem.strip("."):
        raise ModivaError(f"{file} has no name that a folder could have: give --out")
    return Path("results/runs") / file.stem


@dataclass(frozen=True)
class StudyCommand:
    """Run grids that stand in files, say how far they are, and write what came of them."""

    action: (
        Annotated[Run, subcommand("run")]
        | Annotated[Status, subcommand("status")]
        | Annotated[Report, subcommand("report")]
        | Annotated[Export, subcommand("export")]
        | Annotated[Gc, subcommand("gc")]
    )

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()
