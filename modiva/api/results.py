"""What the functions return: sentences, a table and a page, shown as such in a notebook."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import escape

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10  # rows of a table in a notebook


class Result(ABC):
    """A result that has words, a table and a page."""

    @abstractmethod
    def summary(self) -> str:
        """Return the answer in sentences, one in each line."""

    @abstractmethod
    def frame(self) -> "pd.DataFrame":
        """Return all rows as a table."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was asked for, as the page shows it."""
        return {}

    def report(self, path: str | Path) -> Path:
        """Write a self-contained page, and return its path.

        Args:
            path: of the file, such as "found.html".
        """
        from modiva.report import write_page

        answer, *more = self.summary().splitlines()
        return write_page(Path(path), answer, more, self.frame(), self.settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary().splitlines()[0]}>"

    def _repr_html_(self) -> str:
        frame = self.frame()
        sentences = "".join(f"<p>{escape(line)}</p>" for line in self.summary().splitlines())
        more = len(frame) - SHOWN
        note = f"<p>{more:,} more rows: see frame()</p>" if more > 0 else ""
        table: str = frame.head(SHOWN).to_html(index=False, border=0, na_rep="")
        return f"{sentences}{table}{note}"
