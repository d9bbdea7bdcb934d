"""From the rows of a study to its results: rows.csv, models.csv, summaries, figures, the page."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm

from modiva.counts import BAR
from modiva.files import write_text
from modiva.published import read_published, withdraw, write_published
from modiva.studies import (
    EngineSettings,
    Results,
    Study,
    StudyResult,
    code_version,
    run_study,
)

if TYPE_CHECKING:
    import pandas as pd

SUMMARY_FILE = "summary.txt"
# Of other measurements than attacks, where they are asked for; the second holds sentences.
OTHER_FILES: Mapping[str, Literal["membership", "records", "groups", "names"]] = MappingProxyType(
    {
        "membership.csv": "membership",
        "vulnerability.csv": "records",
        "groups.csv": "groups",
        "names.csv": "names",
    }
)
# Files of every study; those of rows and figures depend on what was measured.
_ALWAYS = ("models.csv", "summary.json", "summary.csv", "report.html", SUMMARY_FILE)


def publish(
    results: Results, out: Path, command: str, again: bool = False
) -> tuple[str, str] | None:
    """Write the results of all finished cells; return the table and the sentence of the page.

    Results that are there already go where no cell is finished: they are of other code or settings.

    Args:
        results: of a study.
        out: folder of the files, which is held meanwhile.
        command: what makes them again, for the page.
        again: write them also where the same ones are there already.

    Returns:
        None where no cell is finished.

    Raises:
        ModivaError: another run holds the folder.
    """
    settings = {**results.plan.settings, "command": command}
    with results.store.results(out):
        published, files = read_published(out)
        known = all((out / name).is_file() for name in (*_ALWAYS, *files))
        if again or not known or published != _state(results.digests(), settings):
            results.confirm()
            finished = results.digests()
            if not finished:
                withdraw(out)
                return None
            _write(results, out, settings, _state(finished, settings), files)
        return _parted((out / SUMMARY_FILE).read_text(encoding="utf-8"))


def run_and_publish(
    study: Study, out: Path, engine: EngineSettings, command: str, **how: Any
) -> tuple[StudyResult, tuple[str, str] | None]:
    """Run a study and write its results while its folders are held.

    Args:
        study: one or several grids.
        out: folder of the results.
        engine: where steps run.
        command: what makes the results again, for the page.
        how: other arguments of `run_study`.

    Returns:
        The run, and what `publish` returns.

    Raises:
        ModivaError: as `run_study` raises it.
    """
    published: list[tuple[str, str] | None] = []
    result = run_study(
        study,
        out,
        engine,
        finish=lambda result: published.append(publish(result, out, command)),
        **how,
    )
    return result, published[0]


def _write(
    results: Results, out: Path, settings: Mapping[str, Any], state: str, older: Sequence[str]
) -> None:
    """Write rows, figures and page; files of older results that these do not have are removed."""
    # The page and its figures load pandas and matplotlib: seconds that a finished study saves.
    from modiva.measure import summarise
    from modiva.report import groups, members, names
    from modiva.report.answer import headline
    from modiva.report.page import write_report
    from modiva.report.plots import figures
    from modiva.report.tables import console_table, write_flat_summary, write_rows, write_summary
    from modiva.report.words import prepare

    # Until all are written they follow from nothing, and each may be there already.
    write_published(out, None, {*older, *_ALWAYS, "rows.csv", *OTHER_FILES})
    with tqdm(total=3, desc="results", bar_format=BAR, disable=None, file=sys.stderr) as bar:
        bar.set_postfix_str("rows")
        frame, models = results.frame(), results.models()
        files = [*_ALWAYS]
        write_rows(out / "models.csv", models)
        others = {kind: prepare(table) for kind, table in _write_others(results, out).items()}
        if frame.empty:  # nothing was attacked: the results are those of training
            frame = models
        else:
            write_rows(out / "rows.csv", frame)
            files.append("rows.csv")
        summary = summarise(frame)
        write_summary(out / "summary.json", summary)
        write_flat_summary(out / "summary.csv", summary)
        bar.update()
        bar.set_postfix_str("figures")
        drawn = figures(frame, out / "figures", {**others, "models": prepare(models)})
        bar.update()
        bar.set_postfix_str("page")
        write_report(out, frame, summary, settings, drawn, others)
        bar.update()
        bar.set_postfix_str("done")
    said = [console_table(summary)]
    if len(others["membership"]):
        said.append(members.sentence(others["membership"]))
    if len(others["groups"]):
        said.append(groups.sentence(prepare(frame), others["groups"]))
    if len(others["names"]):
        said.append(names.sentence(others["names"]))
    text = "\n\n".join([*filter(None, said), headline(frame)]) + "\n"
    write_text(out / SUMMARY_FILE, text)
    files += [*(name for name in OTHER_FILES if (out / name).is_file()), *_of_figures(drawn, out)]
    for name in {*older, "rows.csv"} - {*files}:
        (out / name).unlink(missing_ok=True)
    write_published(out, state, files)


def _of_figures(drawn: Sequence[Path], out: Path) -> list[str]:
    """Return the names of all files of figures, those for phones and the captions too."""
    from modiva.report.plots import CAPTIONS, NARROW

    narrow = [path.with_suffix("").with_suffix(NARROW) for path in drawn]
    found = [*drawn, *narrow, out / "figures" / CAPTIONS]
    return sorted({path.relative_to(out).as_posix() for path in found if path.is_file()})


def _write_others(results: Results, out: Path) -> "dict[str, pd.DataFrame]":
    """Write the tables of other measurements, or remove those that are empty; return them."""
    from modiva.report.tables import write_rows

    tables: dict[str, pd.DataFrame] = {kind: results.others(kind) for kind in OTHER_FILES.values()}
    for name, kind in OTHER_FILES.items():
        if tables[kind].empty:
            (out / name).unlink(missing_ok=True)
        else:
            write_rows(out / name, tables[kind])
    return tables


def _parted(text: str) -> tuple[str, str]:
    """Return the table of a summary and the sentence under it, which is the last line."""
    table, _, sentence = text.rstrip("\n").rpartition("\n\n")
    return table, sentence


def _state(finished: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """Return what the results follow from: rows, settings, and the code that shows them."""
    content = json.dumps([finished, settings, code_version("report")])
    return hashlib.sha256(content.encode()).hexdigest()
