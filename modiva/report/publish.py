"""From the rows of a study to its results: rows.csv, models.csv, summaries, figures, the page."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm

from modiva.counts import BAR
from modiva.files import remove_parts, write_json, write_text
from modiva.studies import Results, code_version

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED_FILE = "published.json"
SUMMARY_FILE = "summary.txt"
# Of pools for membership inference; the second, which holds sentences, where it is asked for.
POOL_FILES: Mapping[str, Literal["membership", "records"]] = MappingProxyType(
    {"membership.csv": "membership", "vulnerability.csv": "records"}
)


def publish(
    results: Results, out: Path, command: str, again: bool = False
) -> tuple[str, str] | None:
    """Write the results of all finished cells; return the table and the sentence of the page.

    Args:
        results: of a study.
        out: folder of the files.
        command: what makes them again, for the page.
        again: write them also where the same ones are there already.

    Returns:
        None where no cell is finished.
    """
    finished = sorted(results.plan.goals & results.store.finished())
    settings = {**results.plan.settings, "command": command}
    state = _state(finished, settings)
    if not again and _published(out) == state:
        return _parted((out / SUMMARY_FILE).read_text(encoding="utf-8"))
    if not finished:
        return None
    # The page and its figures load pandas and matplotlib: seconds that a finished study saves.
    from modiva.measure import summarise
    from modiva.report.answer import headline
    from modiva.report.members import sentence
    from modiva.report.page import write_report
    from modiva.report.plots import figures
    from modiva.report.tables import console_table, write_flat_summary, write_rows, write_summary
    from modiva.report.words import prepare

    for folder in (out, out / "figures"):
        remove_parts(folder)
    (out / PUBLISHED_FILE).unlink(missing_ok=True)
    with tqdm(total=3, desc="results", bar_format=BAR, disable=None, file=sys.stderr) as bar:
        bar.set_postfix_str("rows")
        frame, models = results.frame(), results.models()
        write_rows(out / "models.csv", models)
        pools = prepare(_write_pools(results, out))
        if frame.empty:  # nothing was attacked: the results are those of training
            frame = models
            (out / "rows.csv").unlink(missing_ok=True)
        else:
            write_rows(out / "rows.csv", frame)
        summary = summarise(frame)
        write_summary(out / "summary.json", summary)
        write_flat_summary(out / "summary.csv", summary)
        bar.update()
        bar.set_postfix_str("figures")
        drawn = figures(frame, out / "figures", pools)
        bar.update()
        bar.set_postfix_str("page")
        write_report(out, frame, summary, settings, drawn, pools)
        bar.update()
        bar.set_postfix_str("done")
    members = f"\n\n{sentence(pools)}" if len(pools) else ""
    text = f"{console_table(summary)}{members}\n\n{headline(frame)}\n"
    write_text(out / SUMMARY_FILE, text)
    write_json(out / PUBLISHED_FILE, {"state": state})
    return _parted(text)


def _write_pools(results: Results, out: Path) -> "pd.DataFrame":
    """Write what pools show of their members, or remove it; return one row per attack."""
    from modiva.report.tables import write_rows

    tables = {kind: results.pools(kind) for kind in POOL_FILES.values()}
    for name, kind in POOL_FILES.items():
        if tables[kind].empty:
            (out / name).unlink(missing_ok=True)
        else:
            write_rows(out / name, tables[kind])
    return tables["membership"]


def _parted(text: str) -> tuple[str, str]:
    """Return the table of a summary and the sentence under it, which is the last line."""
    table, _, sentence = text.rstrip("\n").rpartition("\n\n")
    return table, sentence


def _state(finished: list[str], settings: Mapping[str, Any]) -> str:
    """Return what the results follow from: rows, settings, and the code that shows them."""
    content = json.dumps([finished, settings, code_version("report")])
    return hashlib.sha256(content.encode()).hexdigest()


def _published(out: Path) -> str | None:
    wanted = (PUBLISHED_FILE, SUMMARY_FILE, "models.csv", "summary.json", "report.html")
    if not all((out / name).is_file() for name in wanted):
        return None
    try:
        return str(json.loads((out / PUBLISHED_FILE).read_text(encoding="utf-8"))["state"])
    except (ValueError, KeyError, TypeError):
        return None
