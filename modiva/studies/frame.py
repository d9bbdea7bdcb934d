"""The rows of a study as a table, column by column out of the index."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modiva.studies.plan import Plan
from modiva.studies.store import Store

_ORDER = ("position", "model_seed")


def study_frame(store: Store, plan: Plan, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of all finished cells in the order of the grid, model by model.

    Args:
        store: where they are.
        plan: of the study.
        columns: which ones; None is all. `cell`, which tells the cells apart, is always there.
    """
    known = store.index.columns()
    names = [name for name in known if columns is None or name in columns]
    wanted = (
        (number, place, key)
        for number, cell in enumerate(plan.cells)
        for place, key in enumerate(cell.goals)
    )
    sorting = [name for name in _ORDER if name == "position" or name in known]
    table = _Columns(["cell", "goal", *dict.fromkeys([*sorting, *names])])
    for block in store.index.select(wanted, table.names[2:]):
        table.add(block)
    arrays = table.arrays()
    by = [arrays[name] for name in sorting]
    order = np.lexsort((*by[:1], arrays["goal"], *by[1:], arrays["cell"]))
    cells = arrays["cell"][order].astype(int)
    frame: dict[str, Any] = {name: arrays[name][order] for name in names}
    for name in {name: None for cell in plan.cells for name in cell.columns}:
        if columns is None or name in columns:
            values = np.array([cell.columns.get(name) for cell in plan.cells])
            frame[name] = values[cells]
    frame["cell"] = np.array([cell.key for cell in plan.cells], dtype=object)[cells]
    return pd.DataFrame(frame)


class _Columns:
    """Blocks of tuples, turned into an array a column; a text that comes again is kept once."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._blocks: list[list[NDArray[Any]]] = [[] for _ in self.names]
        self._texts: dict[str, str] = {}

    def add(self, block: Sequence[tuple[Any, ...]]) -> None:
        for blocks, values in zip(self._blocks, zip(*block, strict=True), strict=True):
            blocks.append(self._array(values))

    def _array(self, values: tuple[Any, ...]) -> NDArray[Any]:
        if any(isinstance(value, str) for value in values[:1]) or str in set(map(type, values)):
            once = self._texts
            return np.array([once.setdefault(v, v) if v is not None else v for v in values], object)
        array = np.array(values)  # integers stay integers where none is missing
        return array if array.dtype != object else np.array(values, dtype=float)

    def arrays(self) -> dict[str, NDArray[Any]]:
        empty: NDArray[Any] = np.empty(0)
        arrays = {}
        for name, blocks in zip(self.names, self._blocks, strict=True):
            arrays[name] = np.concatenate(blocks) if blocks else empty
            blocks.clear()
        return arrays
