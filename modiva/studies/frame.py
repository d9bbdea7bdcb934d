"""The rows of a study as a table, column by column out of the index."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modiva.measure import columns as measured
from modiva.studies.plan import Plan
from modiva.studies.store import Store

Kind = Literal["attack", "train", "membership", "records", "groups", "names"]
_ORDER = ("position", "model_seed")


def models_frame(store: Store, plan: Plan) -> pd.DataFrame:
    """Return one row per trained model, by cell; a model that several cells attack has one."""
    frame = study_frame(store, plan, kind="train")
    same = [name for name in (*measured.CONDITIONS, "model_seed") if name in frame]
    return frame.drop_duplicates(same, ignore_index=True)


def other_frame(store: Store, plan: Plan, kind: Kind) -> pd.DataFrame:
    """Return the rows of other measurements, once where they stand beside several cells."""
    frame = study_frame(store, plan, kind=kind)
    return frame.drop(columns="cell").drop_duplicates(ignore_index=True)


def study_frame(
    store: Store,
    plan: Plan,
    columns: Sequence[str] | None = None,
    kind: Kind = "attack",
) -> pd.DataFrame:
    """Return the rows of all finished cells in the order of the grid, model by model.

    Args:
        store: where they are.
        plan: of the study.
        columns: which ones; None is all. `cell`, which tells the cells apart, is always there.
        kind: of the steps that measured them: one row per canary and control, per model, per attack
            on a pool, per sentence of a pool, per group of test sentences, or per model whose names
            were swapped.
    """
    known = store.index.columns(kind)
    of_cells = {name: None for cell in plan.cells for name in cell.columns}
    names = [
        name for name in dict.fromkeys([*known, *of_cells]) if columns is None or name in columns
    ]
    wanted = (
        (number, place, key)
        for number, cell in enumerate(plan.cells)
        for place, key in enumerate(cell.trained if kind == "train" else cell.goals)
    )
    sorting = [name for name in _ORDER if name == "position" or name in known]
    read = [name for name in names if name not in of_cells]
    table = _Columns(["cell", "goal", *dict.fromkeys([*sorting, *read])])
    with _no_collection():
        for block in store.index.select(kind, wanted, table.names[2:]):
            table.add(block)
    arrays = table.arrays()
    by = [arrays[name] for name in sorting]
    order = np.lexsort((*by[:1], arrays["goal"], *by[1:], arrays["cell"]))
    del by
    cells = arrays.pop("cell")[order].astype(int)
    frame: dict[str, Any] = {}
    for name in names:
        if name in of_cells:
            frame[name] = _of_cells([cell.columns.get(name) for cell in plan.cells])[cells]
        else:
            frame[name] = arrays.pop(name)[order]
    frame["cell"] = _of_cells([cell.key for cell in plan.cells])[cells]
    # Texts stay objects: equal ones are one object, where a string column would copy each.
    return pd.DataFrame(
        {name: pd.Series(values, dtype=values.dtype, copy=False) for name, values in frame.items()},
        copy=False,
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the collection of cycles: with millions of tuples it takes a third more time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _of_cells(values: list[Any]) -> NDArray[Any]:
    """Return one value per cell: texts as objects, so that rows share them."""
    return np.array(values, dtype=object if any(isinstance(v, str) for v in values) else None)


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
        kinds = set(map(type, values))
        if str in kinds:
            return np.array(list(map(self._texts.setdefault, values, values)), dtype=object)
        array = np.array(values)  # integers stay integers where none is missing
        return array if array.dtype != object else np.array(values, dtype=float)

    def arrays(self) -> dict[str, NDArray[Any]]:
        empty: NDArray[Any] = np.empty(0)
        arrays = {}
        for name, blocks in zip(self.names, self._blocks, strict=True):
            arrays[name] = np.concatenate(blocks) if blocks else empty
            blocks.clear()
        return arrays
