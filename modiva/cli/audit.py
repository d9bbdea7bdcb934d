"""`modiva audit`: the main job, from a corpus to a report."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import tyro

from modiva.errors import ModivaError
from modiva.files import write_text
from modiva.measure import summarise
from modiva.report import (
    console_table,
    figures,
    write_flat_summary,
    write_report,
    write_rows,
    write_summary,
)
from modiva.studies import AuditSpec, StudyResult, estimate_seconds, run_study, validate


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Audit:
    """Plant secrets, train targets with and without defenses, attack them, report what came out.

    Writes rows.csv, summary.json, figures/ and a self-contained report.html. A killed audit goes
    on where it stopped when it is started again with the same settings.
    """

    spec: Annotated[AuditSpec, tyro.conf.arg(name="")]
    out: Path = Path("results/runs/audit")
    """Folder of the results; a folder of the same settings is resumed."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where targets are trained and attacked."""
    workers: int = 0
    """Processes side by side, one thread each; 0 is one a core."""
    dry_run: bool = False
    """Check everything, print the cells and an estimate of the time, and stop."""

    def run(self) -> int:
        """Run the audit; 1 if a cell failed."""
        if self.workers < 0:
            raise ModivaError(f"--workers {self.workers}: must be 0 (one a core) or more")
        workers = self.workers or _cores()
        if self.dry_run:
            return self._describe(workers)
        result = run_study(self.spec, self.out, workers=workers, device=self.device)
        for name, path in result.failed:
            print(f"modiva: {name} failed, see {path}; run again to retry it", file=sys.stderr)
        if not result.rows:
            return 1
        self._publish(result)
        return 1 if result.failed else 0

    def _describe(self, workers: int) -> int:
        cells = list(validate(self.spec))
        for cell in cells:
            print(f"{cell}: {cell.models} models, {', '.join(cell.pattern)}")
        seconds = sum(estimate_seconds(cell) for cell in cells) / workers
        models = sum(cell.models for cell in cells)
        print(
            f"{len(cells)} cells, {models} models, about {max(seconds / 60, 0.1):.1f} minutes with "
            f"{workers} workers; results would go to {self.out}"
        )
        return 0

    def _publish(self, result: StudyResult) -> None:
        frame = pd.DataFrame(result.rows)
        summary = summarise(frame)
        write_rows(self.out / "rows.csv", result.rows)
        write_summary(self.out / "summary.json", summary)
        write_flat_summary(self.out / "summary.csv", summary)
        settings = {**self.spec.as_dict(), "command": self.command()}
        pictures = figures(frame, self.out / "figures")
        report = write_report(self.out, frame, summary, settings, pictures)
        table = console_table(summary)
        write_text(self.out / "summary.txt", table + "\n")
        print(table)
        print(
            f"\n{result.cells} cells ({result.reused} reused) in {result.seconds:.0f} s\n"
            f"rows     {self.out / 'rows.csv'}\nfigures  {self.out / 'figures'}\nreport   {report}"
        )

    def command(self) -> str:
        """The command line that makes this audit again: every setting, spelled out."""
        words = ["modiva", "audit"]
        for name, value in self.spec.as_dict().items():
            if value is None or value is False:
                continue
            if value is True:
                words.append(f"--{name.replace('_', '-')}")
                continue
            values = value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
        words += ["--out", str(self.out)]
        return shlex.join(words)
