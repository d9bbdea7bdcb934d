"""`modiva groups`: what protections cost groups of test sentences, for targets that are there."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from modiva.cli.audit import Where
from modiva.errors import ModivaError
from modiva.studies import Study, load_study


@dataclass(frozen=True)
class Groups:
    """Say what protections cost groups of test sentences, on targets that are there.

    Targets that are trained are not trained again.

    $ modiva groups results/runs/audit --groups frequency length
    $ modiva groups results/runs/mine --group-column locale
    """

    folder: Positional[Path]
    """Folder of the results of `modiva audit` or `modiva study run`."""
    where: Annotated[Where, tyro.conf.arg(name="")]
    groups: tuple[str, ...] = ()
    """frequency (of the intent), length, unknown (words), typo or name; see docs/fairness.md."""
    group_column: tuple[str, ...] = ()
    """Columns of the corpus file whose values are groups, such as locale or speaker."""

    def run(self) -> int:
        """Measure the groups and write all results again; 1 if a cell failed."""
        asked = {"groups": self.groups, "group-column": self.group_column}
        if not any(asked.values()):
            raise ModivaError("give --groups or --group-column")
        settings = self.folder / "settings.json"
        if not settings.is_file():
            raise ModivaError(
                f"{self.folder} holds no results of a study: name the folder that `modiva audit` "
                "printed, or run it with --groups"
            )
        grids = tuple(
            replace(grid, groups=self.groups, group_column=self.group_column)
            for grid in load_study(settings).grids
        )
        command = ["modiva", "groups", str(self.folder)]
        for name, values in asked.items():
            command += [f"--{name}", *values] if values else []
        return self.where.execute(Study(grids), self.folder, shlex.join(command), change=True)
