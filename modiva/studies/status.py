"""The state of a store from outside of a run: what is finished, damaged, or no longer used."""

from pathlib import Path

from modiva.errors import ModivaError
from modiva.studies.plan import read_plan
from modiva.studies.run import SETTINGS_FILE
from modiva.studies.store import Store


def finished_steps(store: Store) -> set[str]:
    """Keys of finished steps; files that changed are checked, unless a run holds the store."""
    if not store.is_store():
        return set()
    try:
        with store.locked():
            return store.finished()
    except (ModivaError, OSError):  # a run is going on, or the folder cannot be written
        return {key for key, _ in store.stamps()}


def verify(store: Store) -> int:
    """Check every file of a store against its checksum; return how many steps were damaged.

    Raises:
        ModivaError: a run holds the store.
    """
    with store.locked():
        return store.refresh(verify=True)


def collect(store: Store, *, targets: bool = False, dry_run: bool = False) -> tuple[int, int]:
    """Remove what no study uses; return the steps and bytes that were, or would be, removed.

    A study is one that ran with this store and whose folder of results is still there.

    Args:
        store: the store.
        targets: also remove the artefacts of steps that are used.
        dry_run: only count.

    Raises:
        ModivaError: no store, one in use, or a study whose plan cannot be read.
    """
    if not store.is_store():
        raise ModivaError(f"{store.folder} is no store of a study: name the folder that holds one")
    with store.locked():
        used: set[str] = set()
        gone: list[Path] = []
        for path in sorted((store.folder / "studies").glob("*.json")):
            found = read_plan(path)
            if found is None:
                raise ModivaError(f"{path} is damaged: run its study again first, then gc")
            plan, out = found
            if (store.folder / out / SETTINGS_FILE).is_file():
                used |= plan.keys()
            else:
                gone.append(path)
        if not dry_run:
            for path in gone:
                path.unlink()
        return store.remove(used, targets=targets, dry_run=dry_run)
