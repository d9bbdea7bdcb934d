"""Public corpora by pinned download: a file with another SHA-256 is refused."""

import csv
import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pooch
import requests
from urllib3.exceptions import HTTPError as Broken

from modiva.corpora.reading import expanded
from modiva.errors import ModivaError

logger = logging.getLogger(__name__)

BASE_URL = "https://raw.githubusercontent.com"
_HWU_FOLDS = "CrossValidation/autoGeneFromRealAnno/autoGene_2018_03_22-13_01_25_169/CrossValidation"


@dataclass(frozen=True)
class PublicSet:
    """A published corpus and where its files are.

    Args:
        repository: OWNER/REPOSITORY; its files and their commit are in the table of checksums.
        root: file or folder of the repository that is the corpus.
        licence: licence of the data.
        summary: one line on what it holds.
        note: what a reader of results must know.
        folders: other names under which a local copy of the folder is looked for.
    """

    repository: str
    root: str
    licence: str
    summary: str
    note: str
    folders: tuple[str, ...] = ()


PUBLIC: Mapping[str, PublicSet] = {
    "snips": PublicSet(
        "sonos/nlu-benchmark",
        "2017-06-custom-intent-engines",
        "CC0 1.0",
        "requests to a voice assistant, 7 intents, about 13,800 for training (Coucke et al. 2018)",
        "",
        ("snips_original",),
    ),
    "snips-goo2018": PublicSet(
        "MiuLab/SlotGated-SLU",
        "data/snips",
        "CC0 1.0",
        "SNIPS with the splits of Goo et al. 2018, 13,084 for training",
        "Train, valid and test as Goo et al. split them.",
        ("slotgated_snips",),
    ),
    "hwu64": PublicSet(
        "xliuhw/NLU-Evaluation-Data",
        f"{_HWU_FOLDS}/KFold_1",
        "CC BY 4.0",
        "requests to a home robot, 64 intents, about 10,000 for training (Liu et al. 2019)",
        "First of the ten published folds.",
    ),
    "hwu64-zhang2020": PublicSet(
        "jianguoz/Few-Shot-Intent-Detection",
        "Datasets/HWU64",
        "CC BY 4.0",
        "HWU64 with the splits of Zhang et al. 2020, 8,954 for training",
        "Train, valid and test as published with Zhang et al.",
        ("hwu64",),
    ),
    "clinc150": PublicSet(
        "clinc/oos-eval",
        "data/data_full.json",
        "CC BY 3.0",
        "assistant queries of 10 domains, 150 intents, 15,000 for training (Larson et al. 2019)",
        "",
    ),
    "banking77": PublicSet(
        "PolyAI-LDN/task-specific-datasets",
        "banking_data",
        "CC BY 4.0",
        "questions to a bank, 77 intents, about 10,000 for training (Casanueva et al. 2020)",
        "",
    ),
}


class PinnedFile(NamedTuple):
    """One published file: where it is, how large, and its SHA-256 in hex."""

    repository: str
    path: str
    commit: str
    size: int
    sha256: str

    @property
    def address(self) -> str:
        """The part of its address after the base, and its place in the cache."""
        return f"{self.repository}/{self.commit}/{self.path}"


def pinned_files() -> tuple[PinnedFile, ...]:
    """Return every file of the public corpora, from the table of checksums."""
    table = files("modiva.corpora").joinpath("public.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines(), delimiter="\t")
    return tuple(
        PinnedFile(r["repository"], r["path"], r["commit"], int(r["bytes"]), r["sha256"])
        for r in rows
    )


def files_of(name: str) -> tuple[PinnedFile, ...]:
    """Return the pinned files of one public corpus."""
    public = PUBLIC[name]
    return tuple(
        file
        for file in pinned_files()
        if file.repository == public.repository and file.path.startswith(public.root)
    )


def is_cached(name: str, cache: Path | None = None) -> bool:
    """Return whether every file of a public corpus is in the cache."""
    folder = _cache(cache)
    return all((folder / "public" / file.address).is_file() for file in files_of(name))


def local_copy(name: str) -> Path | None:
    """Find the file or folder of a public corpus below the folder MODIVA_CORPORA, if any.

    A copy of the published files is taken under any of its names; other files, which may be
    another split or an edited one, only under the name of the corpus itself.

    Raises:
        ModivaError: MODIVA_CORPORA is not a folder.
    """
    variable = os.environ.get("MODIVA_CORPORA")
    if not variable:
        return None
    home = expanded(variable)
    if not home.is_dir():
        raise ModivaError(f"MODIVA_CORPORA is {variable}, which is not a folder: name one")
    public = PUBLIC[name]
    root = PurePosixPath(public.root)
    places = [home / folder for folder in (name, *public.folders, root.name)]
    if root.suffix:  # the corpus is one file
        places = [home / name / root.name, home / root.name]
    published = (place for place in places if is_published(name, place))
    return next(published, places[0] if places[0].exists() else None)


def is_published(name: str, place: Path) -> bool:
    """Return whether every pinned file of a public corpus is at `place` with its pinned SHA-256."""
    root = PUBLIC[name].root
    for pinned in files_of(name):
        try:
            with (place / PurePosixPath(pinned.path).relative_to(root)).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != pinned.sha256:
                    return False
        except OSError:
            return False
    return True


def _cache(cache: Path | None) -> Path:
    return cache or expanded(os.environ.get("MODIVA_CACHE") or str(pooch.os_cache("modiva")))


def download(name: str, *, cache: Path | None = None, base_url: str | None = None) -> Path:
    """Fetch what the cache lacks of a public corpus and return its file or folder there.

    Args:
        name: a key of `PUBLIC`.
        cache: folder of downloads; default MODIVA_CACHE, else the user's cache folder.
        base_url: address that holds OWNER/REPOSITORY/COMMIT/PATH; default MODIVA_BASE_URL, else
            GitHub's raw files.

    Raises:
        ModivaError: a host that cannot be reached, a missing file, or a wrong checksum.
    """
    pinned = files_of(name)
    folder = _cache(cache)
    base = (base_url or os.environ.get("MODIVA_BASE_URL") or BASE_URL).rstrip("/")
    store = pooch.create(
        path=folder / "public",
        base_url=f"{base}/",
        registry={file.address: f"sha256:{file.sha256}" for file in pinned},
        retry_if_failed=1,
    )
    missing = [f for f in pinned if not (folder / "public" / f.address).is_file()]
    if missing:
        megabytes = sum(f.size for f in missing) / 1e6
        logger.info("%s: %d files, %.1f MB, from %s", name, len(missing), megabytes, base)
    with _quiet_pooch():
        # One file alone first: a host that cannot be reached is then told at once.
        _fetch(store, pinned[0])
        with ThreadPoolExecutor(max_workers=8) as threads:
            for result in [threads.submit(_fetch, store, file) for file in pinned[1:]]:
                try:
                    result.result()
                except BaseException:
                    threads.shutdown(wait=False, cancel_futures=True)
                    raise
    first = pinned[0]
    return folder / "public" / first.repository / first.commit / PUBLIC[name].root


def _fetch(store: pooch.Pooch, file: PinnedFile) -> None:
    """Fetch one file, or raise with the cause and the remedy."""
    url = f"{store.base_url}{file.address}"
    place = Path(store.abspath) / file.address
    remedy = (
        "check the network, name a mirror with the same paths by --base-url or MODIVA_BASE_URL, "
        "name the folder of a local copy by MODIVA_CORPORA, "
        f"or put the published file at {place}"
    )
    # Pooch makes missing folders itself, but two threads may then make the same one.
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        store.fetch(file.address, downloader=Download(file.size))
    except requests.HTTPError as error:
        raise ModivaError(f"{url} cannot be fetched ({error}): {remedy}") from error
    except requests.RequestException as error:
        reason = str(error) if type(error) is requests.Timeout else type(error).__name__
        raise ModivaError(f"{url} cannot be reached ({reason}): {remedy}") from error
    except ValueError as error:
        raise ModivaError(
            f"{url} is not the published file (SHA-256 differs from {file.sha256}): "
            f"the address serves something else; {remedy}"
        ) from error


class Download:
    """Download a file as pooch asks for it, in bounded space and time.

    Args:
        size: of the published file, in bytes; a longer one is not the file.
        seconds: that it may take; by default a minute, and what 10 kB a second need.
    """

    def __init__(self, size: int, seconds: float | None = None) -> None:
        self.size = size
        self.seconds = 60 + size / 10_000 if seconds is None else seconds

    def __call__(self, url: str, output: str, _: object) -> None:
        """Write what `url` serves to `output`.

        Raises:
            requests.RequestException: it cannot be reached, breaks off, or is too slow.
            ValueError: it sends more than the published size.
        """
        until = time.monotonic() + self.seconds
        written = 0
        with (
            requests.get(url, stream=True, timeout=30) as response,
            Path(output).open("wb") as file,
        ):
            response.raise_for_status()
            while block := _some(response):
                written += file.write(block)
                if written > self.size:
                    raise ValueError(f"{url} sends more than {self.size:,} bytes")
                if time.monotonic() > until:
                    raise requests.Timeout(f"{written:,} bytes in {self.seconds:.0f} s")


def _some(response: requests.Response) -> bytes:
    """Read as much as there is: a read of a whole block waits for a server that drips."""
    try:
        block: bytes = response.raw.read1(2**16, decode_content=True)
    except Broken as error:
        raise requests.ConnectionError(str(error)) from error
    return block


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch from writing one line per file to standard error."""
    log = pooch.get_logger()
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
