"""Run a study: check everything, reuse what is finished, compute the rest, gather the rows."""

import dataclasses
import hashlib
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from canaries import load_patterns
from modiva.errors import ModivaError
from modiva.studies.cells import cell_patterns, check_tokens, load_corpus
from modiva.studies.cost import estimate_seconds
from modiva.studies.local import run_local
from modiva.studies.spec import AuditSpec, Cell, check_cell
from modiva.studies.store import Rows, Store, code_version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyResult:
    """All rows of a study and what it took to get them."""

    rows: Rows
    cells: int
    reused: int
    failed: tuple[tuple[str, Path], ...]
    seconds: float


def validate(spec: AuditSpec) -> dict[Cell, str]:
    """Check `spec` against its corpora before any work; return every cell with its key.

    Raises:
        ModivaError, CanaryError, AttackError: the first thing that would not work, and the remedy.
    """
    patterns_file = ""
    if spec.patterns_file:
        load_patterns(Path(spec.patterns_file))
        patterns_file = hashlib.sha256(Path(spec.patterns_file).read_bytes()).hexdigest()
    keys = {}
    tokenised: set[tuple[str, str]] = set()
    for cell in spec.cells():
        corpus = load_corpus(cell.corpus)
        patterns = cell_patterns(cell, corpus)
        check_cell(cell, corpus, patterns)
        if (cell.corpus, cell.target) not in tokenised:
            check_tokens(cell, corpus, patterns)
            tokenised.add((cell.corpus, cell.target))
        keys[cell] = cell.key(corpus.fingerprint + patterns_file, code_version())
    return keys


def run_study(
    spec: AuditSpec, folder: Path, *, workers: int, device: str = "auto", progress: bool = True
) -> StudyResult:
    """Run every cell of `spec` that `folder` does not hold yet, and gather the rows of all.

    Args:
        spec: the grid.
        folder: where cells are kept; a folder of the same settings is resumed.
        workers: processes side by side, one thread each.
        device: `auto`, `cpu` or `cuda`.
        progress: show a bar on standard error.

    Raises:
        ModivaError: bad settings, a folder of other settings, or one in use.
        OSError: the folder cannot be written.
    """
    if workers < 1:
        raise ModivaError(f"--workers {workers}: must be 1 or more")
    started = time.perf_counter()
    keys = validate(spec)
    with Store(folder, spec.as_dict()).locked() as store:
        pending = [cell for cell, key in keys.items() if store.read(key) is None]
        # The longest first: the last cells to end are then short, and no core waits long.
        pending.sort(key=estimate_seconds, reverse=True)
        failed: dict[Cell, Path] = {}
        with tqdm(
            total=sum(cell.models for cell in keys),
            initial=sum(cell.models for cell in keys if cell not in set(pending)),
            unit="model",
            desc="targets",
            disable=not progress,
            file=sys.stderr,
            dynamic_ncols=True,
        ) as bar:
            for outcome in run_local(pending, workers, device):
                key = keys[outcome.cell]
                if outcome.error is not None:
                    failed[outcome.cell] = store.write_failure(key, outcome.error)
                    logger.error("%s failed: see %s", outcome.cell, failed[outcome.cell])
                else:
                    store.write(
                        key, dataclasses.asdict(outcome.cell), outcome.rows, outcome.seconds
                    )
                bar.set_postfix_str(str(outcome.cell), refresh=False)
                bar.update(outcome.cell.models)
        rows = _gather(store, keys, skip=failed)
    return StudyResult(
        rows=rows,
        cells=len(keys),
        reused=len(keys) - len(pending),
        failed=tuple((str(cell), path) for cell, path in failed.items()),
        seconds=time.perf_counter() - started,
    )


def _gather(store: Store, keys: dict[Cell, str], skip: Sequence[Cell] | dict[Cell, Any]) -> Rows:
    """Rows of all finished cells, in the order of the grid."""
    rows: Rows = []
    for cell, key in keys.items():
        if cell in skip:
            continue
        record = store.read(key)
        if record is None:
            raise ModivaError(
                f"the result of {cell} in {store.folder} was damaged while the study ran: run again"
            )
        rows += [{**row, "cell": key} for row in record["rows"]]
    return rows
