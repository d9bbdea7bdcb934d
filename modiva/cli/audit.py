"""`modiva audit`: the main job, from a corpus to a report: a study whose settings are flags."""

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from canaries.reading import one_line
from modiva.corpora import choose_columns
from modiva.counts import plural
from modiva.report import run_and_publish
from modiva.studies import (
    AuditSpec,
    EngineSettings,
    Study,
    StudyResult,
    free_folder,
    settings,
)
from modiva.validate import at_least

DEFAULT_FOLDER = Path("results/runs/audit")


def _cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Where:
    """Where a study runs and where its results go."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where targets are trained and attacked."""
    workers: int = 0
    """Processes side by side, one thread each; 0 is one a core."""
    engine: Literal["local", "ray", "debug"] = "local"
    """Processes of this machine, a Ray cluster (docs/scale.md), or this process."""
    address: str = "auto"
    """Of the Ray cluster; auto is the one that this machine is part of."""
    gpus_per_cell: float = 0.0
    """GPUs, or a share of one, that Ray reserves for every step."""
    store: Path | None = None
    """Folder of trained targets and rows, which several studies may share; --out if not given."""
    dry_run: bool = False
    """Check everything, print the cells and an estimate of the time, and stop."""

    def check(self) -> None:
        """Raise on a value out of range."""
        at_least(self, 0, "workers", "gpus_per_cell", flags=True)

    def execute(
        self, study: Study, out: Path, command: str, change: bool, source: Path | None = None
    ) -> int:
        """Run a study, of a file or of flags, and write its results; 1 if a cell failed."""
        self.check()
        if self.device == "cuda" and self.engine != "ray":  # of a cluster, other machines have it
            from modiva.training import resolve_device

            resolve_device(self.device)
        logging.getLogger("modiva.studies.progress").setLevel(logging.INFO)
        workers = self.workers or _cores()
        if self.dry_run:
            return describe(study, out, workers)
        result, published = run_and_publish(
            study,
            out,
            EngineSettings(self.engine, workers, self.address, self.gpus_per_cell),
            command,
            store=self.store,
            device=self.device,
            change=change,
            source=source,
        )
        return report(result, out, published)


@dataclass(frozen=True)
class Audit:
    """Plant secrets, train targets with and without defenses, attack them, report what came out.

    Writes rows.csv, models.csv, summary.json, figures/ and a self-contained report.html. A killed
    audit goes on where it stopped when it is started again with the same settings.

    Three examples: the default, your own sentences with one target, and what would be run:

    $ modiva audit
    $ modiva audit --corpus my.csv --target lstm --repetitions 10 --noise 0 1 --models 20
    $ modiva audit --corpus snips --attack coordinate ranker --dry-run
    """

    data: Annotated[settings.Data, tyro.conf.arg(name="data")]
    targets: Annotated[settings.Targets, tyro.conf.arg(name="target")]
    defended: Annotated[settings.Defended, tyro.conf.arg(name="defense")]
    trained: Annotated[settings.Trained, tyro.conf.arg(name="training")]
    planted: Annotated[settings.Planted, tyro.conf.arg(name="secret")]
    attacked: Annotated[settings.Attacked, tyro.conf.arg(name="attack")]
    where: Annotated[Where, tyro.conf.arg(name="run")]
    text_column: str | None = None
    """Name or number of the column of texts, where files of your own have several."""
    label_column: str | None = None
    """Name or number of the column of intents."""
    out: Path | None = None
    """Folder of the results; one of the same settings is resumed. If not given, results/runs/audit,
    or where that holds other settings audit-2, audit-3, ... beside it."""
    change: bool = False
    """Let these settings replace others in the folder; what both share is not computed again."""

    @property
    def spec(self) -> AuditSpec:
        """The settings of all groups."""
        groups = (
            *(self.data, self.targets, self.defended),
            *(self.trained, self.planted, self.attacked),
        )
        settings = {k: v for group in groups for k, v in vars(group).items()}
        settings["corpus"] = tuple(
            choose_columns(name, self.text_column, self.label_column) for name in self.data.corpus
        )
        return AuditSpec(**settings)

    def run(self) -> int:
        """Run the audit; 1 if a cell failed."""
        study = Study((self.spec,))
        out = self.out or DEFAULT_FOLDER
        if self.out is None and not self.change:
            out = free_folder(DEFAULT_FOLDER, study.as_dict())
            if out != DEFAULT_FOLDER:
                print(f"results go to {out}: {DEFAULT_FOLDER} is taken", file=sys.stderr)
        return self.where.execute(study, out, self.spec.command(out), self.change)


def describe(study: Study, out: Path, workers: int) -> int:
    """Check a study, and print its cells and about how long it takes.

    Corpora that are not on this machine are named, not downloaded, and nothing is checked against
    them.
    """
    from modiva.corpora import missing
    from modiva.studies import estimate_study

    seconds, cells = estimate_study(study), study.cells()
    absent = missing(cell.condition.corpus for cell in cells)
    for cell in cells:
        planted = ", ".join(cell.condition.patterns) or "nothing planted"
        pool = f", a pool of {cell.membership}" if cell.membership else ""
        print(f"{cell}: {plural(cell.models, 'model')}, {planted}{pool}")
    for corpus in absent:
        size = f"{corpus.download_bytes / 1e6:.1f} MB"
        print(
            f"{corpus.name} is not on this machine: a run downloads {size}, or takes the copy in "
            "the folder that MODIVA_CORPORA names; label and patterns are checked against it then"
        )
    print(
        f"{plural(len(cells), 'cell')}, {plural(sum(cell.models for cell in cells), 'model')}, "
        f"about {max(seconds / workers / 60, 0.1):.1f} minutes with {plural(workers, 'worker')}; "
        f"results would go to {out}"
    )
    return 0


def report(result: StudyResult, out: Path, published: tuple[str, str] | None) -> int:
    """Print the results of a run, what was published of it last; 1 if a cell failed."""
    for name, path in result.failed:
        said = f"modiva: {name} failed, see {path}; run again to retry it"
        print(one_line(said), file=sys.stderr)
    if published is None:
        return 1
    table, sentence = published
    print(table)
    rows = next(path for name in ("rows", "models") if (path := out / f"{name}.csv").is_file())
    members, sensitive = out / "membership.csv", out / "vulnerability.csv"
    pools = f"members  {members}\n" if members.is_file() else ""
    print(
        f"\n{plural(result.cells, 'cell')} ({result.reused} reused) in {result.seconds:.0f} s\n"
        f"rows     {rows}\n{pools}figures  {out / 'figures'}\nreport   {out / 'report.html'}"
        f"\n\n{sentence}"
    )
    if sensitive.is_file():
        said = f"modiva: {sensitive} holds training sentences and who is told: keep it as secret"
        print(f"{one_line(said)} as they are", file=sys.stderr)
    return 1 if result.failed else 0
