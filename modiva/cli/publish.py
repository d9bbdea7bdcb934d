"""From the rows of a study to its results: rows.csv, summaries, figures, the page."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from modiva.files import remove_parts, write_json, write_text
from modiva.studies.code import folder_version
from modiva.studies.plan import Plan
from modiva.studies.progress import BAR
from modiva.studies.store import Store

PUBLISHED_FILE = "published.json"
SUMMARY_FILE = "summary.txt"


def publish(
    store: Store, plan: Plan, out: Path, settings: Mapping[str, Any], again: bool = False
) -> tuple[str, str] | None:
    """Write the results of all finished cells; return the table and the sentence of the page.

    Args:
        store: where the rows are.
        plan: of the study.
        out: folder of the results.
        settings: what the page shows; with the `command` that makes it again.
        again: write them also where the same ones are there already.

    Returns:
        None where no cell is finished.
    """
    from modiva.studies.frame import study_frame

    finished = sorted(plan.goals & store.finished())
    state = _state(finished, settings)
    if not again and _published(out) == state:
        return _parted((out / SUMMARY_FILE).read_text(encoding="utf-8"))
    if not finished:
        return None
    # The page and its figures load pandas and matplotlib: seconds that a finished study saves.
    from modiva.measure import summarise
    from modiva.report import (
        console_table,
        figures,
        headline,
        write_flat_summary,
        write_report,
        write_rows,
        write_summary,
    )

    for folder in (out, out / "figures"):
        remove_parts(folder)
    (out / PUBLISHED_FILE).unlink(missing_ok=True)
    with tqdm(total=3, desc="results", bar_format=BAR, disable=None, file=sys.stderr) as bar:
        bar.set_postfix_str("rows")
        frame = study_frame(store, plan)
        summary = summarise(frame)
        write_rows(out / "rows.csv", frame)
        write_summary(out / "summary.json", summary)
        write_flat_summary(out / "summary.csv", summary)
        bar.update()
        bar.set_postfix_str("figures")
        drawn = figures(frame, out / "figures")
        bar.update()
        bar.set_postfix_str("page")
        write_report(out, frame, summary, settings, drawn)
        bar.update()
        bar.set_postfix_str("done")
    text = f"{console_table(summary)}\n\n{headline(frame)}\n"
    write_text(out / SUMMARY_FILE, text)
    write_json(out / PUBLISHED_FILE, {"state": state})
    return _parted(text)


def _parted(text: str) -> tuple[str, str]:
    """The table of a summary and the sentence under it, which is the last line."""
    table, _, sentence = text.rstrip("\n").rpartition("\n\n")
    return table, sentence


def _state(finished: list[str], settings: Mapping[str, Any]) -> str:
    """What the results follow from: rows, settings, and the code that shows them."""
    content = json.dumps([finished, settings, folder_version("report"), folder_version("measure")])
    return hashlib.sha256(content.encode()).hexdigest()


def _published(out: Path) -> str | None:
    wanted = (PUBLISHED_FILE, SUMMARY_FILE, "rows.csv", "summary.json", "report.html")
    if not all((out / name).is_file() for name in wanted):
        return None
    try:
        return str(json.loads((out / PUBLISHED_FILE).read_text(encoding="utf-8"))["state"])
    except (ValueError, KeyError, TypeError):
        return None
