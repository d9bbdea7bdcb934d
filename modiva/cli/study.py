"""`modiva study run|status FILE`: an audit whose settings stand in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, subcommand

from modiva.cli.audit import Audit
from modiva.studies import Store, load_study, validate


@dataclass(frozen=True)
class Run:
    """Run the study of a YAML file; a killed one goes on where it stopped."""

    file: Positional[Path]
    """YAML: settings of `modiva audit` by name, lists where several values are meant."""
    out: Path | None = None
    """Folder of the results; results/runs/NAME of the file if not given."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where targets are trained and attacked."""
    workers: int = 0
    """Processes side by side, one thread each; 0 is one a core."""
    dry_run: bool = False
    """Check everything, print the cells and an estimate of the time, and stop."""

    def run(self) -> int:
        """Run the study; 1 if a cell failed."""
        out = self.out or _folder(self.file)
        return Audit(load_study(self.file), out, self.device, self.workers, self.dry_run).run()


@dataclass(frozen=True)
class Status:
    """Say which cells of a study are finished, and why others failed."""

    file: Positional[Path]
    """The study's YAML file."""
    out: Path | None = None
    """Folder of the results; results/runs/NAME of the file if not given."""

    def run(self) -> int:
        """Print the cells that are not finished and a count of all."""
        spec, out = load_study(self.file), self.out or _folder(self.file)
        keys = validate(spec)
        store = Store(out, spec.as_dict())
        done = 0
        for cell, key in keys.items():
            failure = store.failure(key)
            if store.read(key) is not None:
                done += 1
            elif failure is not None:
                print(f"failed   {cell}: {failure}")
            else:
                print(f"missing  {cell}")
        print(f"{done} of {len(keys)} cells finished in {out}")
        return 0


def _folder(file: Path) -> Path:
    return Path("results/runs") / file.stem


@dataclass(frozen=True)
class Study:
    """Run grids that stand in files, and say how far they are."""

    action: Annotated[Run, subcommand("run")] | Annotated[Status, subcommand("status")]

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()
