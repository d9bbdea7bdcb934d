"""What `modiva expose` writes: a table of all secrets, and a page."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modiva.files import write_text
from modiva.natural import Exposed
from modiva.report.page import render


def write_exposed(
    folder: Path, found: Exposed, settings: Mapping[str, Any], *, top: int, reveal: bool = False
) -> list[Path]:
    """Write `folder`/exposed.csv and `folder`/exposed.html and return their paths.

    Args:
        folder: where the files go.
        found: what was found.
        settings: what was run, shown as it is.
        top: secrets on the page, the most exposed first.
        reveal: whether the files show the secrets.
    """
    rows = [one.as_dict(reveal=reveal) for one in found.ranked]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    page = render(
        "exposed.html",
        answer=found.answer,
        found=found.as_dict(top=top, reveal=reveal),
        settings={key: value for key, value in settings.items() if value is not None},
    )
    return [
        write_text(folder / "exposed.csv", table.getvalue()),
        write_text(folder / "exposed.html", page),
    ]
