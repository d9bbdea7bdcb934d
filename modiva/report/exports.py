"""The results in the formats that others take: Markdown, CSV, JSON, Parquet and LaTeX."""

import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from canaries.spaces import suggest
from modiva.errors import ModivaError
from modiva.files import write_bytes, write_text
from modiva.measure import Group, as_frame
from modiva.report.latex import write_latex
from modiva.report.markdown import write_markdown
from modiva.report.tables import flatten, write_flat_summary, write_rows, write_summary

Groups = Sequence[Group]
_Writer = Callable[[pd.DataFrame, Groups, Mapping[str, Any], Path], list[Path]]


def export(
    frame: pd.DataFrame | Sequence[Mapping[str, Any]],
    summary: Groups,
    settings: Mapping[str, Any],
    folder: Path,
    formats: Sequence[str],
) -> list[Path]:
    """Write the results in `formats` and return the files.

    | format | files |
    |---|---|
    | md | report.md: the page in short, with the PNGs of `folder`/figures where they are |
    | csv | rows.csv, summary.csv: text that a spreadsheet would run is quoted |
    | json | rows.jsonl (one line per row), summary.json |
    | parquet | rows.parquet, summary.parquet |
    | latex | extraction.tex, and privacy.tex where noise levels were compared; or accuracy.tex |

    Rows of models that were not attacked are models.csv, models.jsonl and models.parquet.

    Args:
        frame: rows, as `modiva.measure.score_rows` makes them.
        summary: groups, as `modiva.measure.summarise` makes them.
        settings: what was run; `title` and `command` (what reproduces the run) are named so.
        folder: where the files go; made if needed.
        formats: names of `FORMATS`.

    Raises:
        ModivaError: an unknown format, or parquet without pyarrow; nothing is written then.
    """
    chosen = check_formats(formats)
    rows = as_frame(frame)
    written: list[Path] = []
    for name in chosen:
        written += _WRITERS[name](rows, summary, settings, Path(folder))
    return written


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return each of `formats` once, or raise `ModivaError` on what cannot be written."""
    for name in formats:
        if name not in _WRITERS:
            raise ModivaError(
                f"unknown format {name!r}{suggest(name, FORMATS)}: it is one of "
                f"{', '.join(FORMATS)}"
            )
    if not formats:
        raise ModivaError(f"no format was named: give one or more of {', '.join(FORMATS)}")
    if "parquet" in formats and importlib.util.find_spec("pyarrow") is None:
        raise ModivaError(
            "format parquet needs pyarrow, which is not installed: pip install 'modiva[parquet]', "
            "or leave parquet out"
        )
    return tuple(dict.fromkeys(formats))


def _stem(frame: pd.DataFrame) -> str:
    return "rows" if "attack" in frame or frame.empty else "models"


def _markdown(
    frame: pd.DataFrame, summary: Groups, settings: Mapping[str, Any], folder: Path
) -> list[Path]:
    return [write_markdown(folder, frame, summary, settings)]


def _csv(
    frame: pd.DataFrame, summary: Groups, settings: Mapping[str, Any], folder: Path
) -> list[Path]:
    return [
        write_rows(folder / f"{_stem(frame)}.csv", frame),
        write_flat_summary(folder / "summary.csv", summary),
    ]


def _json(
    frame: pd.DataFrame, summary: Groups, settings: Mapping[str, Any], folder: Path
) -> list[Path]:
    lines = frame.to_json(orient="records", lines=True, double_precision=15, force_ascii=False)
    return [
        write_text(folder / f"{_stem(frame)}.jsonl", lines or ""),
        write_summary(folder / "summary.json", summary),
    ]


def _parquet(
    frame: pd.DataFrame, summary: Groups, settings: Mapping[str, Any], folder: Path
) -> list[Path]:
    return [
        _write_parquet(folder / f"{_stem(frame)}.parquet", frame),
        _write_parquet(folder / "summary.parquet", pd.DataFrame(flatten(summary))),
    ]


def _latex(
    frame: pd.DataFrame, summary: Groups, settings: Mapping[str, Any], folder: Path
) -> list[Path]:
    return write_latex(folder, summary)


def _write_parquet(path: Path, frame: pd.DataFrame) -> Path:
    """Write a frame; a column that holds words and numbers becomes words."""
    import pyarrow
    import pyarrow.parquet

    typed = frame.copy()
    for name in typed.columns:
        kinds = (
            {type(value) for value in typed[name].dropna()} if typed[name].dtype == object else {}
        )
        if len(kinds) > 1:
            typed[name] = typed[name].map(lambda value: None if pd.isna(value) else str(value))
    buffer = io.BytesIO()
    table = pyarrow.Table.from_pandas(typed, preserve_index=False)
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    return write_bytes(path, buffer.getvalue())


_WRITERS: Mapping[str, _Writer] = MappingProxyType(
    {"md": _markdown, "csv": _csv, "json": _json, "parquet": _parquet, "latex": _latex}
)
FORMATS = tuple(_WRITERS)
