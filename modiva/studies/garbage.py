"""What no study of a store uses any more, and its removal."""

from pathlib import Path

from modiva.errors import ModivaError
from modiva.studies.engines.task import UNFINISHED
from modiva.studies.folder import check_store, plan_files, remove
from modiva.studies.plan import read_plan
from modiva.studies.results import SETTINGS_FILE
from modiva.studies.store import Store


def collect(
    store: Store, *, targets: bool = False, dry_run: bool = False, gone: bool = False
) -> tuple[int, int]:
    """Remove what no study uses; return the steps and bytes that were, or would be, removed.

    Args:
        store: the store.
        targets: also remove the artefacts of steps that are used.
        dry_run: only count; nothing in the folder changes.
        gone: take studies whose folder of results is not found as removed.

    Raises:
        ModivaError: no store, one in use, a study whose plan cannot be read, or one whose folder of
            results is not found, without `gone`.
    """
    check_store(store.folder)
    if dry_run:
        used, _ = _used(store, gone)
        try:
            return store.remove(used, targets=targets, dry_run=True)
        finally:
            store.close()
    with store.locked():
        used, lost = _used(store, gone)
        remove(store.scratch / UNFINISHED)
        for path in lost:
            path.unlink()
        return store.remove(used, targets=targets)


def _used(store: Store, gone: bool) -> tuple[set[str], list[Path]]:
    """Return the keys of steps that studies use, and the plans of studies that are gone."""
    used: set[str] = set()
    lost: list[Path] = []
    plans = plan_files(store.folder)
    for path in plans:
        found = read_plan(path)
        if found is None:
            raise ModivaError(f"{path} is damaged: run its study again first, then gc")
        plan, places = found
        if any(_holds_results(store.folder, place) for place in places):
            used |= plan.keys()
        elif gone:
            lost.append(path)
        else:
            raise ModivaError(
                f"{path}: the results of its study are not found in {places[-1]}: run it again "
                "where they are now, or let --gone remove what only it uses"
            )
    if not plans and not gone:
        raise ModivaError(
            f"{store.folder} has no plan in studies/, so nothing tells which steps are used: run "
            "the studies again first, or let --gone remove all of them"
        )
    return used, lost


def _holds_results(store: Path, place: str) -> bool:
    """Return whether there are results in a place, which is absolute or as seen from a store."""
    return any((root / place / SETTINGS_FILE).is_file() for root in (store, store.resolve()))
