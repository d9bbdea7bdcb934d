"""`modiva.audit`: the whole question, for a grid of settings, with its results as an object."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modiva.api.results import Result
from modiva.corpora import choose_columns, load
from modiva.errors import ModivaError
from modiva.files import write_text
from modiva.report import run_and_publish
from modiva.studies import EngineSettings, StudyResult, free_folder, load_study

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path("results/runs/audit")


@dataclass(frozen=True, repr=False)
class AuditResult(Result):
    """What came back out of trained targets, beside what was planted.

    Args:
        study: the cells that are finished, with their rows.
        folder: rows.csv, models.csv, summary.json, figures/ and report.html.
        table: one line per cell and attack, with intervals.
        sentence: the answer.
    """

    study: StudyResult
    folder: Path
    table: str
    sentence: str

    def summary(self) -> str:
        """Return the answer, and what failed."""
        failed = [f"{name} failed, see {path}." for name, path in self.study.failed]
        return "\n".join([self.sentence, *failed])

    def frame(self) -> "pd.DataFrame":
        """Return one row per canary and control; of targets that were not attacked, per model."""
        rows = self.study.frame()
        return self.study.models() if rows.empty else rows

    def report(self, path: str | Path | None = None) -> Path:
        """Return the path of the page, or write a copy of it.

        Args:
            path: of the copy; None where the page lies already.
        """
        page = self.folder / "report.html"
        if path is None:
            return page
        return write_text(Path(path), page.read_text(encoding="utf-8"))

    def _repr_html_(self) -> str:
        from markupsafe import escape

        return f"<p>{escape(self.summary())}</p><pre>{escape(self.table)}</pre>"


def audit(
    data: Any = "home-assistant",
    *,
    out: str | Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    engine: Literal["local", "debug"] = "local",
    workers: int = 1,
    device: str = "auto",
    change: bool = False,
    progress: bool = True,
    **settings: Any,
) -> AuditResult:
    """Plant secrets, train targets with and without defenses, attack them, report what came out.

    An audit that was stopped goes on where it was when it is called again with the same settings.

    Args:
        data: a corpus's name or a file, or several of these; or pairs, records, a DataFrame, a
            Dataset, or these by split, which are written beside `out`.
        out: folder of the results; results/runs/audit, or audit-2 and so on where that is taken.
        text_column: name of the column of texts; found by its name if not given.
        label_column: of the column of labels.
        engine: "local" for processes of this machine, "debug" for this process.
        workers: processes side by side, one thread each.
        device: "auto", "cpu" or "cuda".
        change: let these settings replace others in `out`.
        progress: show how far it is.
        settings: of `modiva audit`, such as target=["cnn", "lstm"], pattern="pin", noise=[0, 1],
            repetitions=10, models=20, attack=["coordinate", "exhaustive"].

    Raises:
        CanaryError, ModivaError: bad settings or data, and the remedy; or every cell failed.
        OSError: a folder cannot be written.
    """
    beside = FOLDER.parent if out is None else Path(out).parent
    corpora = _named(data, beside, text_column, label_column)
    study = load_study({**settings, "corpus": corpora})
    folder = free_folder(FOLDER, study.as_dict()) if out is None else Path(out)
    (spec,) = study.grids
    result, published = run_and_publish(
        study, folder, EngineSettings(engine, workers), spec.command(folder), device=device,
        change=change, progress=progress,
    )  # fmt: skip
    if published is None:
        name, path = result.failed[0]
        raise ModivaError(f"no cell of the audit is finished; {name} failed, see {path}")
    return AuditResult(result, folder, *published)


def _named(data: Any, folder: Path, text: str | None, label: str | None) -> list[str]:
    """Return names and paths of corpora; data that a program holds is written to a folder."""
    if isinstance(data, str | Path):
        data = [data]
    if isinstance(data, Sequence) and data and all(isinstance(one, str | Path) for one in data):
        return [choose_columns(str(one), text, label) for one in data]
    corpus = load(data, text_column=text, label_column=label)
    place = folder / f"data-{corpus.fingerprint[:8]}"
    for split, examples in corpus.splits.items():
        rows = (json.dumps({"text": t, "intent": i}) for t, i in examples)
        write_text(place / f"{split}.jsonl", "\n".join(rows) + "\n")
    return [str(place)]
