"""`modiva study run|status|report|export|gc`: grids that stand in files."""

import shlex
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, subcommand

from modiva.cli.audit import Where
from modiva.counts import plural
from modiva.errors import ModivaError
from modiva.report import publish
from modiva.studies import Results, Store, check_study, collect, load_study, open_results

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
    """Folder of the results; if not given, results/runs/NAME of the file (of a study.yaml, of its
    folder)."""

    def run(self) -> int:
        """Run the study; 1 if a cell failed."""
        out = self.out or _folder(self.file)
        command = _command(self.file, out)
        return self.where.execute(load_study(self.file), out, command, True, source=self.file)


@dataclass(frozen=True)
class _OfStudy:
    file: Positional[Path]
    """The study's file."""
    out: Path | None = None
    """Folder of the results; if not given, results/runs/NAME of the file (of a study.yaml, of its
    folder)."""
    store: Path | None = None
    """Folder of trained targets and rows, if it is not that of the results."""

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.out or _folder(self.file)

    def opened(self, publish: bool = False) -> AbstractContextManager[Results]:
        """Return the results of earlier runs; raises where there are none."""
        return open_results(load_study(self.file), self.folder, self.store, publish)

    def check_some(self, results: Results) -> None:
        """Raise where no cell is finished."""
        if not results.finished():
            raise ModivaError(f"no cell of {self.file} is finished in {self.folder}: run it first")


@dataclass(frozen=True)
class Status(_OfStudy):
    """Say which cells of a study are finished, and why others failed."""

    verify: bool = False
    """Read every file of the store and check its checksum; what is damaged is removed."""
    all: bool = False
    """Name every missing cell, not only the first ones."""

    def run(self) -> int:
        """Print the cells that are not finished and a count of all."""
        if not self.verify and not Store(self.store or self.folder).is_store():
            self._nothing()
            return 0
        with self.opened() as results:
            store, plan = results.store, results.plan
            if self.verify:
                self._verify(store)
            finished = results.finished()
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

    def _verify(self, store: Store) -> None:
        """Check the store, and say what was damaged and what may follow from it."""
        damaged, differing = store.verify()
        print(f"{damaged} of {plural(len(store.finished()) + damaged, 'step')} were damaged")
        if differing:
            print(f"the index held other rows of {plural(differing, 'step')}, and is mended")
        if damaged or differing:
            print(
                f"results in {self.folder} may show what was damaged: modiva study run "
                f"{self.file} computes it again and writes them"
            )

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
        with self.opened(publish=True) as results:
            self.check_some(results)
            published = publish(results, self.folder, _command(self.file, self.folder), again=True)
        if published is None:
            raise ModivaError(f"no cell of {self.file} is whole in {self.folder}: run it again")
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
        from modiva.report import export

        with self.opened() as results:
            self.check_some(results)
            results.confirm()
            frame, settings = results.frame(), dict(results.plan.settings)
            frame = results.models() if frame.empty else frame
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
    gone: bool = False
    """Take studies whose folder of results is not found as removed."""
    dry_run: bool = False
    """Say what would be removed and stop."""

    def run(self) -> int:
        """Remove and say how much."""
        steps, size = collect(
            Store(self.folder), targets=self.targets, dry_run=self.dry_run, gone=self.gone
        )
        verb = "would remove" if self.dry_run else "removed"
        print(f"{verb} {plural(steps, 'step')}, {size / 1e6:.1f} MB")
        return 0


def _command(file: Path, out: Path) -> str:
    """Return the command line that repeats a study."""
    return shlex.join(["modiva", "study", "run", str(file), "--out", str(out)])


def _folder(file: Path) -> Path:
    if not file.stem.strip("."):
        raise ModivaError(f"{file} has no name that a folder could have: give --out")
    # study.yaml is what a folder of its own calls its study.
    name = file.resolve().parent.name if file.stem == "study" else file.stem
    return Path("results/runs") / (name or file.stem)


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
