"""The page of a single result: its sentences, its table and what was asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from modiva.files import write_text
from modiva.report.page import render


def write_page(
    path: Path,
    answer: str,
    sentences: Sequence[str],
    table: pd.DataFrame,
    settings: Mapping[str, Any],
) -> Path:
    """Write a self-contained page, and return its path.

    Args:
        path: of the file.
        answer: the sentence that it opens with.
        sentences: what follows it.
        table: all of its rows are shown.
        settings: what was asked for, shown as it is.
    """
    numbers = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    rows = [
        [("" if pd.isna(value) else f"{value:.6g}" if isinstance(value, float) else str(value))
         for value in row]
        for row in table.itertuples(index=False)
    ]  # fmt: skip
    page = render(
        "result.html",
        answer=answer,
        sentences=sentences,
        columns=list(zip(map(str, table.columns), numbers, strict=True)),
        rows=rows,
        settings=settings,
    )
    return write_text(path, page)
