"""What people read: figures, a self-contained page, and the files beside it."""

from modiva.report.answer import headline
from modiva.report.exports import FORMATS, check_formats, export
from modiva.report.page import write_report
from modiva.report.plots import figures
from modiva.report.tables import (
    console_table,
    read_rows,
    write_flat_summary,
    write_rows,
    write_summary,
)

__all__ = [
    "FORMATS",
    "check_formats",
    "console_table",
    "export",
    "figures",
    "headline",
    "read_rows",
    "write_flat_summary",
    "write_report",
    "write_rows",
    "write_summary",
]
